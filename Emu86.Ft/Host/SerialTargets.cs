// Where COM1 goes on the host.
using System.Net.Sockets;
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host;

/// <summary>One end of a serial cable.</summary>
public interface ISerialTarget : IDisposable
{
    /// <summary>A file could not be written any further: what the guest said since is lost.</summary>
    bool HasFailed { get; }

    /// <summary>A byte from the guest.</summary>
    void Put(byte value);

    /// <summary>What was put becomes visible. Called at slice boundaries.</summary>
    void Flush();

    /// <summary>Begins to deliver typed bytes, on any thread.</summary>
    void Start(Action<byte[]> typed);
}

public static class SerialTargets
{
    /// <summary>stdio, null, file:PATH or tcp:HOST:PORT.</summary>
    /// <param name="target">Where the cable goes.</param>
    /// <param name="say">Told when a file cannot be written any further, on the emulation thread.</param>
    public static ISerialTarget Open(string target, Action<string> say)
    {
        if (target == "null") return new NullSerial();
        if (target == "stdio") return new StreamSerial(Console.OpenStandardOutput(), null, null) { Listens = StandardInput.DeliverTo };
        if (target.StartsWith("file:", StringComparison.Ordinal))
        {
            if (target.Length == 5) throw new UsageException($"--serial takes file:PATH, not \"{target}\"");
            try
            {
                return new StreamSerial(new FileStream(target[5..], FileMode.Create, FileAccess.Write, FileShare.Read), null,
                    e => say($"--serial {target} cannot be written any further: {e.Message}; the guest goes on without its serial port"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new HostException($"--serial {target} cannot be written: {e.Message}");
            }
        }
        if (target.StartsWith("tcp:", StringComparison.Ordinal))
        {
            Endpoint to = Values.Endpoint("--serial tcp", target[4..]);
            try
            {
                NetworkStream stream = new TcpClient(to.Host, to.Port) { NoDelay = true }.GetStream();
                return new StreamSerial(stream, stream, null);
            }
            catch (SocketException e)
            {
                throw new HostException($"--serial {target}: nobody answers there ({e.Message}); start a listener first, for example: nc -l {to.Port}");
            }
        }
        throw new UsageException($"--serial takes stdio, null, file:PATH or tcp:HOST:PORT, not \"{target}\"");
    }

    private sealed class NullSerial : ISerialTarget
    {
        public bool HasFailed => false;

        public void Put(byte value)
        {
        }

        public void Flush()
        {
        }

        public void Start(Action<byte[]> typed)
        {
        }

        public void Dispose()
        {
        }
    }

    private sealed class StreamSerial(Stream output, Stream? input, Action<IOException>? failed) : ISerialTarget
    {
        private readonly byte[] _buffer = new byte[4096];
        private int _count;
        private bool _broken;

        /// <summary>Input that outlives this cable; null when it has its own or none.</summary>
        public Action<Action<byte[]>?>? Listens { get; init; }

        // A reader that has gone is no failure.
        public bool HasFailed => _broken && failed is not null;

        public void Put(byte value)
        {
            _buffer[_count++] = value;
            if (_count == _buffer.Length) Flush();
        }

        public void Flush()
        {
            if (_count == 0) return;
            try
            {
                if (!_broken) output.Write(_buffer, 0, _count);
                if (!_broken) output.Flush();
            }
            catch (IOException e)
            {
                // The reader has gone (a closed pipe): the guest goes on, as with a pulled cable.
                _broken = true;
                failed?.Invoke(e);
            }
            _count = 0;
        }

        public void Start(Action<byte[]> typed)
        {
            Listens?.Invoke(typed);
            if (input is null) return;
            var thread = new Thread(() => Read(input, typed)) { IsBackground = true, Name = "serial input" };
            thread.Start();
        }

        public void Dispose()
        {
            Listens?.Invoke(null);
            Flush();
            try
            {
                output.Dispose();
            }
            catch (IOException) when (_broken)
            {
                // What could not be written is tried once more, and was reported.
            }
        }

        private static void Read(Stream input, Action<byte[]> typed)
        {
            byte[] buffer = new byte[256];
            try
            {
                for (int got; (got = input.Read(buffer)) > 0;) typed(buffer[..got]);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // The other end has gone: no more input.
            }
        }
    }
}
