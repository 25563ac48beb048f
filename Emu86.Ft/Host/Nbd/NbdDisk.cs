// A disk on an NBD server. A connection that is lost is made again, and what the server has not made durable is written again.
using System.Net;
using Emu86.Devices;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Host.Net;

namespace Emu86.Ft.Host.Nbd;

/// <summary>An export as a disk. Only this program may write to it. Reads may come from other threads than the emulation thread.</summary>
public sealed class NbdDisk : IBlockStore, IDisposable
{
    private const int SectorBytes = 512;
    private const int RetryMs = 100;

    private enum Command
    {
        Read,
        Write,
        Flush,
    }

    private readonly Lock _lock = new();
    private readonly NbdAddress _address;
    private readonly IPEndPoint _server;
    private readonly TlsIdentity? _identity;
    private readonly NbdTimes _times;
    private readonly long _bytes;

    private readonly UndurableWrites _undurable = new();
    private bool _mustRewrite;
    private NbdSession? _session;
    private long? _lostMs;
    private bool _isClosed;

    private NbdDisk(NbdAddress address, IPEndPoint server, TlsIdentity? identity, NbdTimes times, NbdSession session, bool readOnly)
    {
        (_address, _server, _identity, _times, _session, _bytes) = (address, server, identity, times, session, session.Export.Bytes);
        IsReadOnly = readOnly;
    }

    public long SectorCount => _bytes / SectorBytes;

    public bool IsReadOnly { get; }

    /// <summary>Asked on each connection that is made after a lost one, before anything is written over it, on the thread of the request.
    /// Whoever forbids the server to take this program's writes ends its connections after it has won: so one that was there before the
    /// answer, and still is, may be used. Throws <see cref="NbdException"/> where the disk is not this program's any more.</summary>
    public Action? MayGoOn { private get; set; }

    /// <summary>Why the last request failed, for the report; null when none did.</summary>
    public string? LastError { get; private set; }

    /// <summary>Connects to the server. Throws <see cref="HostException"/>.</summary>
    public static NbdDisk Open(NbdAddress address, bool readOnly, NbdTimes? times = null)
    {
        times ??= new NbdTimes();
        TlsIdentity? identity = address.Tls is { } files ? TlsIdentity.Load(files) : null;
        IPEndPoint server = new(HostAddress.Resolve(address.At.Host), address.At.Port);
        try
        {
            NbdSession session = NbdSession.Open(server, address, identity, times);
            if (readOnly || !session.Export.IsReadOnly) return new NbdDisk(address, server, identity, times, session, readOnly);
            session.Disconnect();
        }
        catch (NbdException e)
        {
            throw new HostException($"disk {address} cannot be opened: {e.Message}");
        }
        throw new HostException($"disk {address} cannot be opened for writing: the server exports it read-only; add ,readonly");
    }

    public BlockResult Read(long lba, Span<byte> destination) => Do(Command.Read, lba, destination, default);

    public BlockResult Write(long lba, ReadOnlySpan<byte> source) => IsReadOnly ? BlockResult.ReadOnly : Do(Command.Write, lba, default, source);

    public BlockResult Flush() => IsReadOnly ? BlockResult.Ok : Do(Command.Flush, 0, default, default);

    public void Dispose()
    {
        lock (_lock)
        {
            _session?.Disconnect();
            _session = null;
            _isClosed = true;
        }
    }

    private BlockResult Do(Command command, long lba, Span<byte> destination, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            if (_isClosed) return Failed("it is closed");
            while (true)
            {
                try
                {
                    Perform(_session ??= Again(), command, lba, destination, source);
                    _lostMs = null;
                    return BlockResult.Ok;
                }
                catch (NbdException e) when (e.IsRefusal)
                {
                    return Failed(e.Message);
                }
                catch (NbdException e)
                {
                    _session?.Dispose();
                    _session = null;
                    long now = Environment.TickCount64;
                    _lostMs ??= now;
                    if (now - _lostMs >= _times.PatienceMs) return Failed(e.Message);
                    Thread.Sleep(RetryMs);
                }
            }
        }
    }

    private void Perform(NbdSession session, Command command, long lba, Span<byte> destination, ReadOnlySpan<byte> source)
    {
        switch (command)
        {
            case Command.Read:
                session.Read(lba * SectorBytes, destination);
                break;
            case Command.Write:
                if (_undurable.IsFull) MakeDurable(session);
                session.Write(lba * SectorBytes, source);
                if (session.Export.HasFlush) _undurable.Add(lba, source);
                break;
            case Command.Flush:
                MakeDurable(session);
                break;
        }
    }

    private void MakeDurable(NbdSession session)
    {
        if (_mustRewrite) Rewrite(session);
        _mustRewrite = true;
        session.Flush();
        _mustRewrite = false;
        _undurable.Clear();
    }

    private NbdSession Again()
    {
        NbdSession session = NbdSession.Open(_server, _address, _identity, _times);
        try
        {
            if (session.Export.Bytes != _bytes) throw new NbdException($"the export has {session.Export.Bytes} bytes now, it had {_bytes}: it is another disk");
            if (session.Export.IsReadOnly && !IsReadOnly) throw new NbdException("the server exports it read-only now");
            MayGoOn?.Invoke();
            Rewrite(session);
            return session;
        }
        catch (NbdException)
        {
            session.Dispose();
            throw;
        }
    }

    private void Rewrite(NbdSession session)
    {
        foreach ((long lba, byte[] data) in _undurable.InOrder) session.Write(lba * SectorBytes, data);
        _mustRewrite = false;
    }

    private BlockResult Failed(string why)
    {
        LastError = $"{_address}: {why}";
        return BlockResult.IoError;
    }
}
