// `clone`: a new backup for a running machine: how long the guest stands still, how long it takes until it is protected, and how
// fast it runs meanwhile; with little and much memory, which the guest leaves alone or writes all the time. The guest has a core of
// its own: a backup on another host takes it nothing. What both share here, above all the way to memory, another machine that does the
// same uses as well; so the guest's speed is compared with that beside such a machine.
using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Emu86.Bench.Soak;

internal static class CloneSoak
{
    private const double PauseMsMax = 20, SpeedMin = 0.9, WaitedMax = 0.1;
    private static readonly int[] Megabytes = [64, 256, 1024];
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30), Filled = TimeSpan.FromSeconds(300), GetsGoing = TimeSpan.FromSeconds(2), Cloned = TimeSpan.FromSeconds(240);

    public static int Run(SoakOptions options)
    {
        if (Environment.ProcessorCount < 2) throw new SoakException("clone needs a host with two processors: one for the guest, one for the new backup");
        bool held = true;
        foreach (int megabytes in Megabytes)
        {
            foreach (bool writes in new[] { false, true })
            {
                for (int round = 0; round < options.Rounds; round++) held &= Measure(options, megabytes, writes);
            }
        }
        Console.WriteLine($"clone: target {(held ? "held" : "NOT held")}: the guest stands still for at most {PauseMsMax:F0} ms, and runs at no less than {SpeedMin:P0} of its speed beside another machine until it is protected");
        return held ? 0 : 1;
    }

    private static bool Measure(SoakOptions options, int megabytes, bool writes)
    {
        string state = Directory.CreateTempSubdirectory("emu86-soak").FullName;
        int[] ports = SoakPair.FreePorts(2);
        string listen = $"127.0.0.1:{ports[0]}", status = $"127.0.0.1:{ports[1]}";
        uint words = (uint)(megabytes - 2) << 18;
        string image = Path.Combine(state, "guest.img"), other = Path.Combine(state, "other.img");
        foreach (string path in new[] { image, other }) File.WriteAllBytes(path, Image(words, writes));
        string[] common = ["--net", "none", "--serial", "null", "--state-dir", state];
        try
        {
            using Side primary = Side.Start("primary", options, ["--primary", "--backups", listen, "--memory", $"{megabytes}M", "--hda", image, "--status", status, .. common]);
            primary.WaitFor("role primary", Soon);
            using OwnCore own = new(primary.Id);
            using var progress = new Progress(status, primary.Id);
            // Each stored word is one instruction.
            progress.WaitFor(words + words / 4UL, Filled);
            Thread.Sleep(GetsGoing);
            Phase alone = progress.During(options.Duration), beside;
            using (Side.Start("another machine", options, ["--net", "none", "--serial", "null", "--memory", $"{megabytes}M", "--hda", other], Cores.Other))
            {
                Thread.Sleep(GetsGoing);
                beside = progress.During(options.Duration);
            }
            using Side backup = Side.Start("backup", options, ["--backup", "--listen", listen, "--hda", Path.Combine(state, "copy.img"), .. common], Cores.Other);
            Moment begun = After("cloning to"), frozen = After("stood still for"), sent = progress.WaitUntilSent(Cloned), done = After("protected by");
            double pause = Pause(primary.WaitFor("stood still for", Soon));
            Phase clone = new(begun, done), sending = new(begun, sent);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"clone: {megabytes} MB, {(writes ? "written all the time" : "left alone")}: the guest stood still for {pause:F1} ms, was protected after {clone.Seconds:F2} s, and ran at {clone.Speed / beside.Speed:P1} of its speed beside another machine until then, {clone.Speed / alone.Speed:P1} of that alone ({alone.Speed / 1e6:F0} million instructions a second); while the clone was sent, at {sending.Speed / beside.Speed:P1} and {sending.Speed / alone.Speed:P1}"));
            Say("alone", alone);
            Say("beside another machine", beside);
            Say("before the freeze", new(begun, frozen));
            Say("streaming after it", new(frozen, sent));
            Say("catching up", new(sent, done));
            double waited = Math.Max(clone.Waited, Math.Max(alone.Waited, beside.Waited));
            if (waited > WaitedMax) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"clone:   the host is too busy to say: the guest's thread waited {waited:P0} of the time for its core"));
            return pause <= PauseMsMax && waited <= WaitedMax && clone.Speed >= SpeedMin * beside.Speed;

            Moment After(string line)
            {
                primary.WaitFor(line, Cloned);
                return progress.Now();
            }

            void Say(string name, Phase phase) => Console.WriteLine($"clone:   {name}: {phase.Describe(alone)}");
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

    /// <summary>Where a guest was at a time, and what its thread had done up to then.</summary>
    private readonly record struct Moment(long At, double Count, ThreadTimes Thread);

    /// <summary>What went on between two moments.</summary>
    private readonly record struct Phase(Moment From, Moment To)
    {
        public double Seconds => Stopwatch.GetElapsedTime(From.At, To.At).TotalSeconds;

        /// <summary>Instructions a second that it had its core: nothing of the clone runs there, so for what it had to wait is another
        /// program's doing.</summary>
        public double Speed => Instructions / (Thread.Running + Rested);

        /// <summary>The share of the time in which it had to wait for its core.</summary>
        public double Waited => Thread.Waiting / Seconds;

        // The kernel counts a wait when it is over.
        private double Rested => Math.Max(0, Seconds - Thread.Running - Thread.Waiting);

        private double Instructions => To.Count - From.Count;

        private ThreadTimes Thread => To.Thread - From.Thread;

        private double PerProcessorSecond => Instructions / Thread.Running;

        public string Describe(Phase alone)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{Seconds:F2} s at {Speed / alone.Speed:P1}; a processor second brought {PerProcessorSecond / alone.PerProcessorSecond:P1}; the guest's thread ran {Thread.Running / Seconds:P0}, rested {Rested / Seconds:P0}, waited for its core {Waited:P0}");
        }
    }

    /// <summary>Where the guest was when, asked all the time.</summary>
    private sealed class Progress : IDisposable
    {
        private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(2) };
        private readonly List<(long At, ulong Count, double Cloned)> _seen = [];
        private readonly int _process;
        private readonly Thread _thread;
        private volatile bool _ends;

        public Progress(string status, int process)
        {
            _process = process;
            _thread = new Thread(() => Look($"http://{status}/status")) { IsBackground = true };
            _thread.Start();
        }

        public void WaitFor(ulong count, TimeSpan atMost) => WaitFor(seen => seen.Count > 0 && seen[^1].Count >= count, $"the guest should come to count {count}", atMost);

        /// <summary>Returns when a clone is no longer under way.</summary>
        public Moment WaitUntilSent(TimeSpan atMost)
        {
            WaitFor(seen => seen.Count > 0 && seen[^1].Cloned == 0, "the clone should be sent", atMost);
            return Now();
        }

        public Phase During(TimeSpan duration)
        {
            Moment from = Now();
            Thread.Sleep(duration);
            return new(from, Now());
        }

        /// <summary>Where the guest is now: by two answers, one before and one after.</summary>
        public Moment Now()
        {
            var thread = ThreadTimes.Of(_process, _process);
            long now = Stopwatch.GetTimestamp();
            WaitFor(seen => seen.Count > 1 && seen[^1].At > now, "the status port should answer", Soon);
            lock (_seen)
            {
                int after = _seen.FindIndex(s => s.At > now);
                if (after == 0) throw new SoakException("the status port did not answer often enough");
                ((long a, ulong countA, _), (long b, ulong countB, _)) = (_seen[after - 1], _seen[after]);
                return new(now, countA + (double)(countB - countA) * (now - a) / (b - a), thread);
            }
        }

        public void Dispose()
        {
            _ends = true;
            _thread.Join();
            _http.Dispose();
        }

        private void WaitFor(Func<List<(long At, ulong Count, double Cloned)>, bool> isThere, string what, TimeSpan atMost)
        {
            for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(2))
            {
                lock (_seen)
                {
                    if (isThere(_seen)) return;
                }
                if (Stopwatch.GetElapsedTime(began) > atMost) throw new SoakException($"{what} within {atMost.TotalSeconds:F0} s");
            }
        }

        // The status is made anew twenty times a second; what counts is when it changes.
        private void Look(string address)
        {
            ulong last = 0;
            for (; !_ends; Thread.Sleep(5))
            {
                try
                {
                    using HttpResponseMessage response = _http.Send(new HttpRequestMessage(HttpMethod.Get, address));
                    using JsonDocument json = JsonDocument.Parse(response.Content.ReadAsStream());
                    ulong count = json.RootElement.GetProperty("instructionCount").GetUInt64();
                    if (count == last) continue;
                    last = count;
                    lock (_seen) _seen.Add((Stopwatch.GetTimestamp(), count, json.RootElement.GetProperty("cloneProgress").GetDouble()));
                }
                catch (Exception e) when (e is HttpRequestException or TaskCanceledException or IOException)
                {
                    // Not there yet, or no longer; or a busy host.
                }
            }
        }
    }
}
