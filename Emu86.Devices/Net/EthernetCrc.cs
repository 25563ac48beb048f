// The frame check sequence of IEEE 802.3, 3.2.9.
namespace Emu86.Devices.Net;

internal static class EthernetCrc
{
    private static readonly uint[] Table = BuildTable();

    /// <summary>The 32 bits that follow a frame, low byte first on the wire.</summary>
    public static uint Fcs(ReadOnlySpan<byte> frame)
    {
        uint crc = 0xffffffff;
        foreach (byte b in frame) crc = (crc >> 8) ^ Table[(byte)crc ^ b];
        return ~crc;
    }

    /// <summary>0 to 63: the six high bits of the shift register after the destination address, the first bit sent highest.</summary>
    public static int MulticastHash(ReadOnlySpan<byte> address)
    {
        uint register = ~Fcs(address);
        int hash = 0;
        for (int bit = 0; bit < 6; bit++) hash = (hash << 1) | (int)((register >> bit) & 1);
        return hash;
    }

    private static uint[] BuildTable()
    {
        var table = new uint[256];
        for (uint i = 0; i < 256; i++)
        {
            uint value = i;
            for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? (value >> 1) ^ 0xedb88320 : value >> 1;
            table[i] = value;
        }
        return table;
    }
}
