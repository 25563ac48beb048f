// The file under a recording: written by a thread of its own, so that a slow disk slows the guest only when much is waiting.
using Emu86.Ft.Host;

namespace Emu86.Ft.Run.Recording;

/// <summary>Appends whole frames to a stream in the background. After a failed write the file is cut back to the last whole
/// batch of frames, and nothing more is written.</summary>
public sealed class RecordingFile : IDisposable
{
    private const long WaitingBytesMax = 64 << 20;
    private static readonly TimeSpan FlushEvery = TimeSpan.FromSeconds(1);

    private readonly Stream _stream;
    private readonly string _path;
    private readonly Queue<ReadOnlyMemory<byte>> _waiting = new();
    private readonly Thread _thread;
    private long _waitingBytes;
    private bool _complete;

    /// <param name="stream">Written from its beginning; owned.</param>
    /// <param name="path">For messages.</param>
    public RecordingFile(Stream stream, string path)
    {
        _stream = stream;
        _path = path;
        _thread = new Thread(WriteAll) { IsBackground = true, Name = "recording" };
        _thread.Start();
    }

    /// <summary>Why writing failed, as a sentence; null while all is well.</summary>
    public string? Failure { get; private set; }

    /// <summary>Bytes handed over so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Creates the file, or replaces it.</summary>
    /// <exception cref="HostException">It cannot be created.</exception>
    public static RecordingFile Create(string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new HostException($"--record {path} is a directory; give the path of a file");
            return new RecordingFile(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"--record {path} cannot be written: {e.Message}");
        }
    }

    /// <summary>Hands whole frames over. Waits while more than 64 MiB are waiting.</summary>
    public void Write(ReadOnlyMemory<byte> frames)
    {
        lock (_waiting)
        {
            while (_waitingBytes > WaitingBytesMax && Failure is null) Monitor.Wait(_waiting);
            if (Failure is not null) return;
            _waiting.Enqueue(frames);
            _waitingBytes += frames.Length;
            Bytes += frames.Length;
            Monitor.PulseAll(_waiting);
        }
    }

    /// <summary>Returns when everything is durable, or <see cref="Failure"/> says why it is not.</summary>
    public void Complete()
    {
        lock (_waiting)
        {
            _complete = true;
            Monitor.PulseAll(_waiting);
        }
        _thread.Join();
    }

    public void Dispose()
    {
        Complete();
        _stream.Dispose();
    }

    private void WriteAll()
    {
        long whole = 0;
        try
        {
            DateTime flushed = DateTime.UtcNow;
            while (TryTake(out ReadOnlyMemory<byte> frames))
            {
                _stream.Write(frames.Span);
                whole += frames.Length;
                Done(frames.Length);
                if (DateTime.UtcNow - flushed < FlushEvery) continue;
                _stream.Flush();
                flushed = DateTime.UtcNow;
            }
            _stream.Flush();
            (_stream as FileStream)?.Flush(flushToDisk: true);
        }
        catch (IOException e)
        {
            Fail($"the recording {_path} cannot be written any further: {e.Message}. What is in it is whole, but has no end; make room and record again", whole);
        }
    }

    private bool TryTake(out ReadOnlyMemory<byte> frames)
    {
        lock (_waiting)
        {
            while (_waiting.Count == 0 && !_complete) Monitor.Wait(_waiting);
            return _waiting.TryDequeue(out frames);
        }
    }

    private void Done(int bytes)
    {
        lock (_waiting)
        {
            _waitingBytes -= bytes;
            Monitor.PulseAll(_waiting);
        }
    }

    private void Fail(string sentence, long whole)
    {
        try
        {
            _stream.SetLength(whole);
        }
        catch (Exception e) when (e is IOException or NotSupportedException)
        {
            // Then half a frame stands at the end: a reader notices it by its length or checksum.
            sentence += $" (and its last frame cannot be taken back: {e.Message})";
        }
        lock (_waiting)
        {
            Failure = sentence;
            _waiting.Clear();
            Monitor.PulseAll(_waiting);
        }
    }
}
