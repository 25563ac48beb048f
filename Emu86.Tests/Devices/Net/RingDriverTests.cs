// The receive ring as a driver walks it: thousands of frames of random length, read back whole and in order.
using Emu86.Devices.Net;

namespace Emu86.Tests.Devices.Net;

public sealed class RingDriverTests
{
    private const int First = 0x4c;
    private const int Stop = 0x80;

    private static readonly byte[] Address = [2, 0, 0, 0, 0, 1];

    private readonly Rtl8029 _card;

    public RingDriverTests()
    {
        var rig = new DeviceRig();
        _card = new("net0", Address, rig.Clock, rig.Events, new FrameLog());
    }

    private byte In(int port) => (byte)_card.ReadPort(port, 1);

    private void Out(int port, int value) => _card.WritePort(port, 1, (uint)value);

    private byte[] Remote(int address, int count)
    {
        Out(0x0a, count);
        Out(0x0b, count >> 8);
        Out(0x08, address);
        Out(0x09, address >> 8);
        Out(0x00, 0x0a);
        byte[] data = new byte[count];
        int at = 0;
        for (; at + 4 <= count; at += 4) BitConverter.TryWriteBytes(data.AsSpan(at), _card.ReadPort(0x10, 4));
        if ((count & 2) != 0)
        {
            BitConverter.TryWriteBytes(data.AsSpan(at), (ushort)_card.ReadPort(0x10, 2));
            at += 2;
        }
        if ((count & 1) != 0) data[at] = In(0x10);
        Assert.Equal(0x40, In(0x07) & 0x40);
        Out(0x07, 0x40);
        return data;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Every_accepted_frame_is_read_back_whole_and_in_order(int seed)
    {
        foreach ((int port, int value) in new[] { (0, 0x21), (0xe, 0x49), (0xc, 0x04), (0xd, 0), (1, First), (2, Stop), (3, Stop - 1), (7, 0xff), (0, 0x61), (7, First) })
        {
            Out(port, value);
        }
        for (int i = 0; i < 6; i++) Out(1 + i, Address[i]);
        Out(0x00, 0x22);
        var random = new Random(seed);
        var waiting = new Queue<byte[]>();
        int refused = 0;
        int read = 0;
        while (read < 3000)
        {
            if (random.Next(5) < 3)
            {
                byte[] frame = new byte[random.Next(60, 1515)];
                random.NextBytes(frame);
                Address.CopyTo(frame, 0);
                if (_card.Controller.Receive(frame)) waiting.Enqueue(frame);
                else refused++;
                continue;
            }
            Out(0x00, 0x62);
            int current = In(0x07);
            Out(0x00, 0x22);
            int page = In(0x03) + 1 == Stop ? First : In(0x03) + 1;
            Assert.Equal(waiting.Count == 0, page == current);
            if (page == current) continue;
            byte[] header = Remote(page << 8, 4);
            byte[] frameRead = Remote((page << 8) + 4, (header[2] | (header[3] << 8)) - 4);
            Assert.Equal(0x01, header[0] & 0x0f);
            Assert.Equal(waiting.Dequeue(), frameRead);
            Out(0x03, header[1] == First ? Stop - 1 : header[1] - 1);
            read++;
        }
        Assert.True(refused > 100, $"the ring was full {refused} times");
        Assert.Equal(0x10, In(0x07) & 0x10);
    }
}
