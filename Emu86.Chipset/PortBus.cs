// The I/O address space: 65,536 byte ports, claimed by devices through the board's wiring table.
using Emu86.Cpu;

namespace Emu86.Chipset;

/// <summary>A device with I/O ports. Ports are given as offsets: a device does not care where it is mapped.</summary>
public interface IPortDevice
{
    /// <param name="offset">Ports from the first of the claimed range.</param>
    /// <param name="size">1, 2 or 4, at most what the claim allows.</param>
    uint ReadPort(int offset, int size);

    /// <param name="offset">Ports from the first of the claimed range.</param>
    /// <param name="size">1, 2 or 4, at most what the claim allows.</param>
    void WritePort(int offset, int size, uint value);
}

/// <summary>Routes port accesses. A wider access than a device takes is split into bytes, low address first, as the ISA bus does.</summary>
public sealed class PortBus
{
    private readonly Claim?[] _claims = new Claim?[0x10000];

    private sealed record Claim(IPortDevice Device, int First, int Count, int WidthMax, string Owner);

    /// <summary>Gives ports to a device. <paramref name="widthMax"/> (1, 2 or 4): the widest access it takes in one piece.
    /// An overlap is a wiring mistake and stops the machine.</summary>
    public void Map(int first, int count, IPortDevice device, string owner, int widthMax = 1)
    {
        var claim = new Claim(device, first, count, widthMax, owner);
        for (int port = first; port < first + count; port++)
        {
            if (_claims[port] is { } other) Check.Fail($"port {port:x4}h is claimed by {other.Owner} and {owner}");
            _claims[port] = claim;
        }
    }

    /// <summary>Takes ports back (PCI BARs move).</summary>
    public void Unmap(int first, int count, IPortDevice device)
    {
        for (int port = first; port < first + count; port++)
        {
            if (_claims[port]?.Device == device) _claims[port] = null;
        }
    }

    /// <summary>Whether all of the range is free (a PCI BAR that overlaps a fixed device is not mapped).</summary>
    public bool IsFree(int first, int count)
    {
        for (int port = first; port < first + count; port++)
        {
            if (port > 0xffff || _claims[port] is not null) return false;
        }
        return true;
    }

    public uint Read(ushort port, int size)
    {
        if (_claims[port] is { } claim && Fits(claim, port, size)) return claim.Device.ReadPort(port - claim.First, size);
        if (size == 1) return 0xff;
        int half = size / 2;
        return Read(port, half) | (Read((ushort)(port + half), half) << (8 * half));
    }

    public void Write(ushort port, int size, uint value)
    {
        if (_claims[port] is { } claim && Fits(claim, port, size))
        {
            claim.Device.WritePort(port - claim.First, size, value);
            return;
        }
        if (size == 1) return;
        int half = size / 2;
        Write(port, half, value & ((1u << (8 * half)) - 1));
        Write((ushort)(port + half), half, value >> (8 * half));
    }

    private static bool Fits(Claim claim, int port, int size) => size <= claim.WidthMax && port + size <= claim.First + claim.Count;
}
