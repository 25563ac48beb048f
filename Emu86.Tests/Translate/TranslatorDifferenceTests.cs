// The translator against the interpreter: the same program, stopped at the same counts, is in the same state.
using Emu86.Cpu;
using Emu86.Tests.Cpu;

namespace Emu86.Tests.Translate;

public sealed unsafe class TranslatorDifferenceTests
{
    /// <summary>Programs in the fast tests. EMU86_TRANSLATOR_PROGRAMS asks for more.</summary>
    private const int ProgramsDefault = 400;

    [SkippableFact]
    public void Random_programs_end_in_the_same_state_at_every_stop()
    {
        int programs = int.TryParse(Environment.GetEnvironmentVariable("EMU86_TRANSLATOR_PROGRAMS"), out int asked) ? asked : ProgramsDefault;
        int first = int.TryParse(Environment.GetEnvironmentVariable("EMU86_TRANSLATOR_SEED"), out int seed) ? seed : 1;
        for (int n = 0; n < programs; n++) Compare(first + n);
    }

    private static void Compare(int seed)
    {
        using var pair = new Pair(seed);
        var random = new Random(seed);
        ulong from = 0;
        for (int stop = 0; stop < 60; stop++)
        {
            ulong until = from + (ulong)(random.Next(4) == 0 ? random.Next(1, 20) : random.Next(1, 2_000));
            if (random.Next(12) == 0) pair.Forget();
            if (random.Next(6) == 0) pair.Interrupt();
            string? difference = pair.RunTo(until);
            if (difference != null) Assert.Fail($"seed {seed}, counts {from} to {until}: {difference}\n{Shrink(seed, until)}");
            from = until;
        }
    }

    /// <summary>The first count at which a run without a stop before it differs.</summary>
    private static string Shrink(int seed, ulong count)
    {
        ulong equal = 0, different = count + 1;
        while (different - equal > 1)
        {
            ulong middle = equal + ((different - equal) / 2);
            using var pair = new Pair(seed);
            if (pair.RunTo(middle) == null) equal = middle;
            else different = middle;
        }
        using var last = new Pair(seed);
        _ = last.RunTo(equal);
        string before = last.Describe();
        string? difference = last.RunTo(different);
        using var again = new Pair(seed);
        return $"equal at {equal}, where {before}\nat {different}: {again.RunTo(different)} (going on from there: {difference ?? "equal"})";
    }

    /// <summary>The interpreter and the translator with the same program.</summary>
    private sealed class Pair : IDisposable
    {
        private readonly SystemWorld _one = new(), _two = new();

        /// <summary>Half of the programs rely on nothing of this host's processor that the manual leaves undefined.</summary>
        private readonly bool _onAnyHost;

        public Pair(int seed)
        {
            _onAnyHost = (seed & 1) != 0;
            new RandomProgram(seed).Place(_one, seed);
            new RandomProgram(seed).Place(_two, seed);
            Skip.IfNot(_two.Cpu.UseTranslator(true, hotRuns: 2, _onAnyHost), "the translator needs an x86-64 host with Linux");
        }

        /// <summary>Null when both are in the same state at <paramref name="count"/>.</summary>
        public string? RunTo(ulong count)
        {
            RunResult one = _one.Cpu.Run(count), two = _two.Cpu.Run(count);
            return one == two ? Difference(_one, _two) : $"{one} and {two}";
        }

        /// <summary>An interrupt waits until the program lets it in.</summary>
        public void Interrupt()
        {
            _one.Cpu.SetIntr(true);
            _two.Cpu.SetIntr(true);
        }

        /// <summary>Takes from the translator what it has translated or cached: nothing may depend on it.</summary>
        public void Forget()
        {
            _two.Cpu.Mmu.FlushAll();
            _two.Cpu.UseTranslator(false);
            _two.Cpu.UseTranslator(true, hotRuns: 2, _onAnyHost);
        }

        /// <summary>The next instructions and the registers.</summary>
        public string Describe()
        {
            var text = new System.Text.StringBuilder();
            byte[] bytes = new byte[0x2000];
            _one.Memory.Read(SystemWorld.CodeAt, bytes);
            var decoder = Iced.Intel.Decoder.Create(32, bytes, SystemWorld.CodeAt);
            List<Iced.Intel.Instruction> listing = [];
            while (listing.Count(x => x.IP32 >= _one.S.Eip) < 3) listing.Add(decoder.Decode());
            foreach (Iced.Intel.Instruction x in listing.TakeLast(15)) text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{x.IP:x} {x}\n");
            for (int n = 0; n < 8; n++) text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{_one.S.R[n]:x8} ");
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"flags {Flags.Get(_one.C):x}");
            return text.ToString();
        }

        public void Dispose()
        {
            _one.Dispose();
            _two.Dispose();
        }
    }

    private static string? Difference(SystemWorld one, SystemWorld two)
    {
        Flags.MakeCanonical(one.C);
        Flags.MakeCanonical(two.C);
        if (new Span<byte>(&one.C->S, sizeof(CpuState)).SequenceEqual(new Span<byte>(&two.C->S, sizeof(CpuState))))
        {
            for (uint page = 0; page < one.Memory.RamBytes >> 12; page++)
            {
                Span<byte> a = one.Memory.RamPage(page), b = two.Memory.RamPage(page);
                int at = a.CommonPrefixLength(b);
                if (at < 4096) return $"memory at {(page << 12) + (uint)at:x}: {a[at]:x2} and {b[at]:x2}";
            }
            return null;
        }
        if (one.S.Count != two.S.Count) return $"counts {one.S.Count} and {two.S.Count}";
        for (int n = 0; n < 8; n++)
        {
            if (one.S.R[n] != two.S.R[n]) return $"register {n}: {one.S.R[n]:x8} and {two.S.R[n]:x8}, EIP {one.S.Eip:x}";
        }
        return $"EIP {one.S.Eip:x} and {two.S.Eip:x}, flags {Flags.Get(one.C):x} and {Flags.Get(two.C):x}, or another part of the state";
    }
}
