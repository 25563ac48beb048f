// `clone`: a new backup for a running machine: how long the guest stands still, how long it takes until it is protected, and how
// fast it runs meanwhile; with little and much memory, which the guest leaves alone or writes all the time.
using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Emu86.Bench.Soak;

internal static class CloneSoak
{
    private const double PauseMsMax = 20, SpeedMin = 0.9;
    private static readonly int[] Megabytes = [64, 256, 1024];
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30), Filled = TimeSpan.FromSeconds(300), Cloned = TimeSpan.FromSeconds(120);

    public static int Run(SoakOptions options)
    {
        bool held = true;
        foreach (int megabytes in Megabytes)
        {
            foreach (bool writes in new[] { false, true })
            {
                for (int round = 0; round < options.Rounds; round++) held &= Measure(options, megabytes, writes);
            }
        }
        Console.WriteLine($"clone: target {(held ? "held" : "NOT held")}: the guest stands still for at most {PauseMsMax:F0} ms, and runs at no less than {SpeedMin:P0} of its speed meanwhile");
        return held ? 0 : 1;
    }

    private static bool Measure(SoakOptions options, int megabytes, bool writes)
    {
        string state = Directory.CreateTempSubdirectory("emu86-soak").FullName;
        int[] ports = SoakPair.FreePorts(2);
        string listen = $"127.0.0.1:{ports[0]}", status = $"127.0.0.1:{ports[1]}", image = Path.Combine(state, "guest.img");
        uint words = (uint)(megabytes - 2) << 18;
        File.WriteAllBytes(image, Image(words, writes));
        string[] common = ["--net", "none", "--serial", "null", "--state-dir", state];
        try
        {
            using Side primary = Side.Start("primary", options, ["--primary", "--backups", listen, "--memory", $"{megabytes}M", "--hda", image, "--status", status, .. common]);
            primary.WaitFor("role primary", Soon);
            using var progress = new Progress(status);
            // Each stored word is one instruction.
            progress.WaitFor(words + words / 4UL, Filled);
            long began = Stopwatch.GetTimestamp();
            Thread.Sleep(options.Duration);
            double before = progress.Rate(began, Stopwatch.GetTimestamp());
            using Side backup = Side.Start("backup", options, ["--backup", "--listen", listen, "--hda", Path.Combine(state, "copy.img"), .. common]);
            primary.WaitFor("cloning to", Soon);
            long cloning = Stopwatch.GetTimestamp();
            primary.WaitFor("protected by", Cloned);
            long done = Stopwatch.GetTimestamp();
            double pause = Pause(primary.WaitFor("stood still for", Soon)), speed = progress.Rate(cloning, done) / before;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"clone: {megabytes} MB, {(writes ? "written all the time" : "left alone")}: the guest stood still for {pause:F1} ms, was protected after {Stopwatch.GetElapsedTime(cloning, done).TotalSeconds:F2} s, and ran at {speed:P1} of its {before / 1e6:F0} million instructions a second"));
            return pause <= PauseMsMax && speed >= SpeedMin;
        }
        finally
        {
            Directory.Delete(state, recursive: true);
        }
    }

    private static double Pause(string line)
    {
        string[] words = line[line.IndexOf("stood still for", StringComparison.Ordinal)..].Split(' ');
        return double.Parse(words[3], CultureInfo.InvariantCulture);
    }

    // A boot sector: protected mode, then all memory from 1 MiB on is filled with a number; once, and the guest counts; or again and
    // again with the next number.
    private static byte[] Image(uint words, bool writes)
    {
        byte[] image = new byte[1 << 20];
        byte[] code =
        [
            0xfa, 0xfc, 0x31, 0xc0, 0x8e, 0xd8, // cli; cld; xor ax,ax; mov ds,ax
            0xe4, 0x92, 0x0c, 0x02, 0xe6, 0x92, // A20 on
            0x0f, 0x01, 0x16, 0x60, 0x7c, // lgdt [7c60h]
            0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xea, 0x1e, 0x7c, 0x08, 0x00, // cr0.pe = 1; jmp 8:7c1eh
            0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, // mov ax,10h; mov ds,ax; mov es,ax
            0x31, 0xc0, 0x40, // xor eax,eax; again: inc eax
            0xbf, 0x00, 0x00, 0x10, 0x00, 0xb9, 0, 0, 0, 0, 0xf3, 0xab, // mov edi,100000h; mov ecx,words; rep stosd
        ];
        code.CopyTo(image, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x2f), words);
        // jmp again, or: count: inc eax; jmp count
        ((ReadOnlySpan<byte>)(writes ? [0xeb, 0xf1] : [0x40, 0xeb, 0xfd])).CopyTo(image.AsSpan(code.Length));
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(0x48), 0x00cf9b00_0000ffff);
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(0x50), 0x00cf9300_0000ffff);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x60), 23);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x62), 0x7c40);
        (image[510], image[511]) = (0x55, 0xaa);
        return image;
    }

    /// <summary>Where the guest was when, asked all the time.</summary>
    private sealed class Progress : IDisposable
    {
        private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(2) };
        private readonly List<(long At, ulong Count)> _seen = [];
        private readonly Thread _thread;
        private volatile bool _ends;

        public Progress(string status)
        {
            _thread = new Thread(() => Look($"http://{status}/status")) { IsBackground = true };
            _thread.Start();
        }

        public void WaitFor(ulong count, TimeSpan atMost)
        {
            for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(20))
            {
                lock (_seen)
                {
                    if (_seen.Count > 0 && _seen[^1].Count >= count) return;
                }
                if (Stopwatch.GetElapsedTime(began) > atMost) throw new SoakException($"the guest should come to count {count} within {atMost.TotalSeconds:F0} s");
            }
        }

        /// <summary>Instructions a second between two times.</summary>
        public double Rate(long from, long to)
        {
            Thread.Sleep(200);
            lock (_seen)
            {
                (long At, ulong Count)[] within = [.. _seen.Where(s => s.At >= from && s.At <= to + Stopwatch.Frequency / 10)];
                if (within.Length < 2) throw new SoakException("the status port did not answer often enough");
                return (within[^1].Count - within[0].Count) / Stopwatch.GetElapsedTime(within[0].At, within[^1].At).TotalSeconds;
            }
        }

        public void Dispose()
        {
            _ends = true;
            _thread.Join();
            _http.Dispose();
        }

        // The status is made anew twenty times a second; what counts is when it changes.
        private void Look(string address)
        {
            ulong last = 0;
            for (; !_ends; Thread.Sleep(2))
            {
                try
                {
                    using HttpResponseMessage response = _http.Send(new HttpRequestMessage(HttpMethod.Get, address));
                    using JsonDocument json = JsonDocument.Parse(response.Content.ReadAsStream());
                    ulong count = json.RootElement.GetProperty("instructionCount").GetUInt64();
                    if (count == last) continue;
                    last = count;
                    lock (_seen) _seen.Add((Stopwatch.GetTimestamp(), count));
                }
                catch (Exception e) when (e is HttpRequestException or TaskCanceledException or IOException)
                {
                    // Not there yet, or no longer; or a busy host.
                }
            }
        }
    }
}
