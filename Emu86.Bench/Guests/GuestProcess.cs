// One run of an emulator: its serial output, line by line, with the host's time at which each line arrived.
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Emu86.Bench.Guests;

/// <summary>A line of the guest's console and when it was seen.</summary>
/// <param name="Text">Without terminal control sequences.</param>
/// <param name="Wall">Since the start of the process.</param>
/// <param name="Processor">Processor time of the emulator's process, all threads (the kernel counts it in steps of 10 ms).</param>
/// <param name="MemoryKib">Memory of the process, in KiB: what is mapped twice counts once.</param>
internal readonly record struct GuestLine(string Text, TimeSpan Wall, TimeSpan Processor, long MemoryKib);

internal static class GuestProcess
{
    /// <summary>Runs an emulator until it ends by itself, or ends it after <paramref name="timeout"/>.</summary>
    public static List<GuestLine> Run(Command command, TimeSpan timeout)
    {
        var start = new ProcessStartInfo(command.Program, command.Arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        long began = Stopwatch.GetTimestamp();
        using Process process = Start(start);
        process.StandardInput.Write(command.Input);
        process.StandardInput.Flush();
        // One that is spoken to takes the end of its input for the end of the conversation.
        if (command.Input.Length == 0) process.StandardInput.Close();
        if (command.ViewerPort != 0) new Thread(() => View(command.ViewerPort, process)) { IsBackground = true }.Start();
        var errors = new StringBuilder();
        process.ErrorDataReceived += (_, e) => errors.AppendLine(e.Data);
        process.BeginErrorReadLine();
        bool late = false;
        using var timer = new Timer(_ => { late = true; process.Kill(entireProcessTree: true); }, null, timeout, Timeout.InfiniteTimeSpan);
        var lines = new List<GuestLine>();
        Stream output = command.SerialFile is null ? process.StandardOutput.BaseStream : new Follower(command.SerialFile, process);
        var line = new StringBuilder();
        byte[] buffer = new byte[4096];
        for (int got; (got = output.Read(buffer)) > 0;)
        {
            var at = new GuestLine("", Stopwatch.GetElapsedTime(began), ProcessorTime(process), MemoryKib(process));
            foreach (byte b in buffer.AsSpan(0, got))
            {
                if (b != '\n') line.Append((char)b);
                else
                {
                    lines.Add(at with { Text = line.ToString().TrimEnd('\r') });
                    line.Clear();
                }
            }
        }
        process.WaitForExit();
        if (late) Console.Error.WriteLine($"bench: {command.Program} did not end within {timeout.TotalSeconds:F0} s and was ended");
        else if (lines.Count == 0 && errors.Length > 0) Console.Error.WriteLine($"bench: {command.Program}: {errors.ToString().Trim()}");
        return lines;
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new BenchException($"cannot start {start.FileName}: {e.Message}");
        }
    }

    /// <summary>A viewer that looks at nothing: the handshake of the remote framebuffer protocol 3.3 (RFC 6143, 7.1 to 7.3).</summary>
    private static void View(int port, Process process)
    {
        while (!process.HasExited)
        {
            try
            {
                using var client = new TcpClient("127.0.0.1", port);
                NetworkStream stream = client.GetStream();
                byte[] buffer = new byte[65536];
                stream.ReadExactly(buffer, 0, 12);
                stream.Write("RFB 003.003\n"u8);
                stream.ReadExactly(buffer, 0, 4);
                stream.WriteByte(1);
                while (stream.Read(buffer) > 0)
                {
                }
                return;
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                Thread.Sleep(20);
            }
        }
    }

    private static TimeSpan ProcessorTime(Process process)
    {
        try
        {
            // proc(5): fields 14 and 15, counted behind the name in parentheses, in hundredths of a second.
            string stat = File.ReadAllText($"/proc/{process.Id}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)));
        }
        catch (IOException)
        {
            return TimeSpan.Zero;
        }
    }

    private static long MemoryKib(Process process)
    {
        try
        {
            // proc(5): "Pss:   123456 kB".
            string line = File.ReadLines($"/proc/{process.Id}/smaps_rollup").FirstOrDefault(l => l.StartsWith("Pss:", StringComparison.Ordinal), "");
            return line.Length > 0 ? long.Parse(line["Pss:".Length..^"kB".Length], CultureInfo.InvariantCulture) : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>Reads a file that a process is writing, up to the end of the process.</summary>
    private sealed class Follower(string path, Process process) : Stream
    {
        private FileStream? _file;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            while (true)
            {
                bool ended = process.HasExited;
                if (_file is null && File.Exists(path)) _file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                int got = _file?.Read(buffer, offset, count) ?? 0;
                if (got > 0 || ended) return got;
                Thread.Sleep(2);
            }
        }

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing) _file?.Dispose();
            base.Dispose(disposing);
        }
    }
}
