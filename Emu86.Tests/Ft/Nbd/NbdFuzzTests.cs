// Whatever an NBD server sends, the client ends with a sentence or with what was asked: never otherwise, and within bounds.
using Emu86.Ft.Host.Nbd;

namespace Emu86.Tests.Ft.Nbd;

public sealed class NbdFuzzTests
{
    private const int Sectors = 64;
    private const int Rounds = 20_000;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Replies_that_were_changed_on_the_way_are_noticed_or_do_no_harm(int style)
    {
        byte[] honest = Listen((NbdStyle)style);
        Assert.True(Converse(new ScriptedWire(honest)), "the client should understand what was recorded");
        var random = new Random(style);
        int refused = 0;
        for (int n = 0; n < Rounds; n++)
        {
            var wire = new ScriptedWire(Mutate(honest, random));
            try
            {
                Converse(wire);
            }
            catch (NbdException e)
            {
                refused++;
                Assert.InRange(e.Message.Length, 10, 400);
                Assert.DoesNotContain('\n', e.Message);
            }
            Assert.InRange(wire.LongestReceived, 0, 16 << 10);
        }
        Assert.InRange(refused, Rounds / 4, Rounds - 1);
    }

    [Fact]
    public void Noise_is_refused()
    {
        var random = new Random(1);
        for (int n = 0; n < Rounds; n++)
        {
            byte[] noise = new byte[random.Next(400)];
            random.NextBytes(noise);
            if (n % 2 == 0 && noise.Length >= 18) ((byte[])[.. "NBDMAGICIHAVEOPT"u8, 0, (byte)random.Next(4)]).CopyTo(noise, 0);
            Assert.Throws<NbdException>(() => Converse(new ScriptedWire(noise)));
        }
    }

    /// <summary>The same talk with whatever answers.</summary>
    /// <returns>Whether the answers were right.</returns>
    private static bool Converse(INbdWire wire)
    {
        using var session = new NbdSession(wire, "disk", new NbdTimes());
        byte[] written = [.. Enumerable.Range(0, 2048).Select(n => (byte)(n * 3))], read = new byte[2048];
        session.Write(512, written);
        session.Read(512, read);
        session.Flush();
        session.Read(0, read.AsSpan(0, 512));
        session.Disconnect();
        return read.AsSpan(512).SequenceEqual(written.AsSpan(512)) && !read.AsSpan(0, 512).ContainsAnyExcept((byte)0);
    }

    private static byte[] Listen(NbdStyle style)
    {
        using var server = new NbdServer(Sectors * 512) { Style = style, BlockSizes = (1, 1 << 20) };
        var wire = new RecordingWire(NbdSocket.Connect(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, server.Port), 5_000));
        Assert.True(Converse(wire));
        return [.. wire.Received];
    }

    private static byte[] Mutate(byte[] honest, Random random)
    {
        List<byte> bytes = [.. honest];
        // Half of the changes hit the handshake, which is short beside the data.
        int At() => random.Next(random.Next(2) == 0 ? int.Min(100, bytes.Count) : bytes.Count);
        for (int n = random.Next(1, 4); n > 0 && bytes.Count > 0; n--)
        {
            switch (random.Next(5))
            {
                case 0: bytes[At()] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[At()] = (byte)(random.Next(2) == 0 ? 0xff : 0); break;
                case 2: bytes.Insert(At(), (byte)random.Next(256)); break;
                case 3: bytes.RemoveAt(At()); break;
                case 4: bytes.RemoveRange(bytes.Count - 1, 1); break;
            }
        }
        return [.. bytes];
    }

    private sealed class ScriptedWire(byte[] script) : INbdWire
    {
        private int _at;

        public int LongestReceived { get; private set; }

        public void Within(int milliseconds)
        {
        }

        public void Send(ReadOnlySpan<byte> bytes)
        {
        }

        public void Receive(Span<byte> bytes)
        {
            LongestReceived = int.Max(LongestReceived, bytes.Length);
            if (bytes.Length > script.Length - _at) throw new NbdException("the server closed the connection");
            script.AsSpan(_at, bytes.Length).CopyTo(bytes);
            _at += bytes.Length;
        }

        public void Dispose()
        {
        }
    }

    private sealed class RecordingWire(INbdWire wire) : INbdWire
    {
        public List<byte> Received { get; } = [];

        public void Within(int milliseconds) => wire.Within(milliseconds);

        public void Send(ReadOnlySpan<byte> bytes) => wire.Send(bytes);

        public void Receive(Span<byte> bytes)
        {
            wire.Receive(bytes);
            Received.AddRange(bytes);
        }

        public void Dispose() => wire.Dispose();
    }
}
