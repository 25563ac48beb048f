// Two TCP endpoints in virtual time, with a seeded wire between them that loses, repeats, delays and reorders segments.
using Emu86.Ft.Host.Net.User;

namespace Emu86.Tests.Ft.Net;

internal sealed class LossyWire(int seed, int lossPercent, int repeatPercent, int jitterMs)
{
    private readonly Random _random = new(seed);
    private readonly PriorityQueue<(End To, TcpHeader Header, byte[] Data), (long, int)> _flying = new();
    private int _order;

    public long Now { get; private set; } = 1000;

    public int Sent { get; private set; }

    public int BytesOnWire { get; private set; }

    public End Connect(out End server, bool accept = true)
    {
        var client = new End(this, 1000, 80, (uint)_random.NextInt64(1L << 32));
        server = new End(this, 80, 1000, uint.MaxValue - 5000);
        client.Other = server;
        server.Other = client;
        server.Accepts = accept;
        client.Tcp.Connect(Now);
        return client;
    }

    /// <summary>Lets time pass until the condition holds; false when nothing happens any more or it takes longer than so many virtual seconds.</summary>
    public bool Run(Func<bool> until, Action? work = null, int seconds = 600, params End[] ends)
    {
        long limit = Now + seconds * 1000L;
        while (true)
        {
            work?.Invoke();
            foreach (End end in ends) end.Tcp.Output(Now);
            if (until()) return true;
            long next = ends.Min(e => e.Tcp.Deadline);
            if (_flying.TryPeek(out _, out (long At, int) first)) next = long.Min(next, first.At);
            if (next == long.MaxValue || next > limit) return false;
            Now = long.Max(Now, next);
            foreach (End end in ends) end.Tcp.Time(Now);
            while (_flying.TryPeek(out var segment, out (long At, int) at) && at.At <= Now)
            {
                _flying.Dequeue();
                segment.To.Arrive(segment.Header, segment.Data, Now);
            }
        }
    }

    private void Carry(End to, in TcpHeader header, byte[] data)
    {
        Sent++;
        BytesOnWire += data.Length;
        if (_random.Next(100) < lossPercent) return;
        int times = _random.Next(100) < repeatPercent ? 2 : 1;
        for (int i = 0; i < times; i++) _flying.Enqueue((to, header, data), (Now + 1 + _random.Next(jitterMs + 1), _order++));
    }

    internal sealed class End : ITcpLink
    {
        private readonly LossyWire _wire;

        public End(LossyWire wire, ushort local, ushort remote, uint initial)
        {
            _wire = wire;
            Tcp = new TcpEndpoint(this, local, remote, initial);
        }

        public TcpEndpoint Tcp { get; }

        public End? Other { get; set; }

        public bool Accepts { get; set; } = true;

        public List<TcpHeader> Log { get; } = [];

        private bool _offered;

        public void Transmit(in TcpHeader header, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
        {
            Span<byte> head = stackalloc byte[TcpHeader.LengthMax];
            int length = header.Write(head);
            // What is sent is what can be read again.
            Assert.True(TcpHeader.TryParse(head[..length], out TcpHeader read, out _));
            Assert.Equal(header, read);
            Assert.True(first.Length + second.Length <= 1460);
            Log.Add(header);
            _wire.Carry(Other!, header, [.. first, .. second]);
        }

        public void Arrive(in TcpHeader header, byte[] data, long now)
        {
            if (header.Has(TcpFlags.Syn) && !header.Has(TcpFlags.Ack) && !_offered)
            {
                _offered = true;
                Tcp.Offer(header);
                if (Accepts) Tcp.Accept(now);
                else Tcp.Abort();
                return;
            }
            Tcp.Receive(header, data, now);
        }

        public int Write(ReadOnlySpan<byte> data)
        {
            int written = 0;
            while (data.Length > 0)
            {
                Span<byte> space = Tcp.Space();
                if (space.IsEmpty) break;
                int count = int.Min(space.Length, data.Length);
                data[..count].CopyTo(space);
                Tcp.Commit(count);
                data = data[count..];
                written += count;
            }
            return written;
        }

        public void ReadAll(List<byte> to)
        {
            while (true)
            {
                ReadOnlySpan<byte> data = Tcp.Readable();
                if (data.IsEmpty) return;
                to.AddRange(data);
                Tcp.Consume(data.Length);
            }
        }
    }
}
