// The emulator's side of the 32- and 16-bit conformance tests: ring 3 with the memory and the descriptors of CompatLayout.
using Emu86.Cpu;
using Emu86.Cpu.Float;
using Emu86.Cpu.Memory;

namespace Emu86.Tests.Conformance;

/// <summary>Every exception enters ring 0, at a HLT whose address tells the vector. Tables lie in supervisor pages from C0000000h on.</summary>
internal sealed unsafe class CompatGuest : IProcessorBus, IDisposable
{
    private const uint Supervisor = CompatLayout.Tables, Gdt = 0x1000, Idt = 0x2000, Tss = 0x3000, LdtAt = 0x4000, Stack0 = 0x8000, Handlers = 0x9000,
        Directory = 0x10_0000, LowTable = 0x10_1000, SystemTable = 0x10_2000;

    /// <summary>More than any case takes.</summary>
    private const ulong InstructionsMax = 100_000;

    private readonly PhysicalMemory _memory = new(0x20_0000);
    private readonly Processor _cpu;
    private readonly byte[][] _pristine;

    public CompatGuest()
    {
        _cpu = new Processor(_memory, this, CpuModel.Pentium2);
        _cpu.SetA20(true);
        Write(Directory, LowTable | 7);
        Write(Directory + 0xc00, SystemTable | 3);
        for (uint page = 0; page < 0x100; page++) Write(SystemTable + (4 * page), (page << 12) | 3);
        foreach (CompatRegion region in CompatLayout.Regions)
            for (uint page = region.At; page < region.At + region.Length; page += 4096) Write(LowTable + (page >> 10), page | (region.Writable ? 7u : 5u));
        _pristine = [.. CompatLayout.Regions.Select(CompatLayout.Content)];
        for (int n = 0; n < _pristine.Length; n++) _memory.Write(CompatLayout.Regions[n].At, _pristine[n]);

        Descriptor(Gdt + 0x08, 0, 0xf_ffff, 0xc09b);
        Descriptor(Gdt + 0x10, 0, 0xf_ffff, 0xc093);
        Descriptor(Gdt + 0x20, 0, 0xf_ffff, 0xc0fb);
        Descriptor(Gdt + 0x28, 0, 0xf_ffff, 0xc0f3);
        for (uint n = 0; n < CompatLayout.Ldt.Length; n++)
        {
            CompatDescriptor entry = CompatLayout.Ldt[n];
            Descriptor(LdtAt + (8 * n), entry.Base, entry.Limit, entry.Attributes);
        }
        for (uint n = 0; n < 256; n++)
        {
            // The kernel lets programs use INT 3 and INT 4 only.
            uint attributes = n is 3 or 4 ? 0xee00u : 0x8e00;
            Write(Idt + (8 * n), 0x8_0000 | ((Handlers + n) & 0xffff));
            Write(Idt + (8 * n) + 4, Supervisor | attributes);
        }
        Write(Tss + 4, Supervisor + Stack0);
        Write(Tss + 8, 0x10);
        Write(Tss + 0x64, 0x68_0000);
        var halts = new byte[256];
        Array.Fill(halts, (byte)0xf4);
        _memory.Write(Handlers, halts);
    }

    public ulong VirtualTimeNs => 0;

    private Ctx* C => _cpu.Context;

    public CompatResult Run(CompatTest test)
    {
        foreach ((uint at, byte[] bytes) in test.Patches) _memory.Write(at, bytes);
        byte[][] before = test.Patches.Count == 0 ? _pristine : Expected(test);
        SetUp(test);
        RunResult end = _cpu.Run(_cpu.InstructionCount + InstructionsMax);
        CompatResult result = Result(end, test.Fpu != null);
        Collect(result, before);
        Restore(test);
        return result;
    }

    public uint ReadPort(ushort port, int size) => uint.MaxValue;

    public void WritePort(ushort port, int size, uint value)
    {
    }

    public byte AcknowledgeInterrupt() => 0;

    public void SetFerr(bool asserted)
    {
    }

    public void Dispose()
    {
        _cpu.Dispose();
        _memory.Dispose();
    }

    private void SetUp(CompatTest test)
    {
        ref CpuState s = ref C->S;
        s.Halted = 0;
        s.PendingDebug = 0;
        s.InterruptShadow = s.DebugShadow = 0;
        for (int n = 0; n < 8; n++) s.R[n] = test.Gpr[n];
        s.Eip = test.Eip;
        Flags.SetAll(C, test.Eflags);
        s.Cr0 = Modes.Cr0Pe | Modes.Cr0Mp | Modes.Cr0Et | Modes.Cr0Ne | Modes.Cr0Wp | Modes.Cr0Am | Modes.Cr0Pg;
        s.Cr3 = Directory;
        s.Cr4 = Modes.Cr4OsFxsr | Modes.Cr4Tsd;
        s.Dr[6] = 0xffff_0ff0;
        s.Cpl = 3;
        s.Gdtr = new TableRegister { Base = Supervisor + Gdt, Limit = CompatLayout.GdtLimit };
        s.Idtr = new TableRegister { Base = Supervisor + Idt, Limit = 0x7ff };
        s.Ldtr = Table(0x50, Supervisor + LdtAt, (uint)(8 * CompatLayout.Ldt.Length) - 1, 0x82);
        s.Tr = Table(0x40, Supervisor + Tss, 0x67, 0x8b);
        for (int n = 0; n < 6; n++) *Ctx.SegmentOf(C, n) = Loaded(test.Selectors[n]);
        if (test.Fpu != null)
        {
            fixed (byte* image = test.Fpu)
            {
                FpuImage.LoadEnvironment(ref s.Fpu, image, true, true);
                FpuImage.LoadRegisters(ref s.Fpu, image + FpuImage.Environment32);
            }
        }
        // Decoded code stays: that what was written over it is seen is part of the test.
        _cpu.Mmu.FlushAll();
        Modes.Changed(C);
    }

    private CompatResult Result(RunResult end, bool withFpu)
    {
        ref CpuState s = ref C->S;
        var result = new CompatResult { Vector = CompatLayout.Endless };
        if (end == RunResult.Limit) return result;
        Assert.Equal(RunResult.Halted, end);
        uint frame = s.R[Gpr.Esp] - Supervisor;
        result.Vector = s.Eip - 1 - (Supervisor + Handlers);
        if (result.Vector is 8 or (>= 10 and <= 14) or 17)
        {
            result.Error = Read(frame);
            frame += 4;
        }
        for (int n = 0; n < 8; n++) result.Gpr[n] = s.R[n];
        result.Eip = Read(frame);
        result.Eflags = Read(frame + 8);
        result.Gpr[Gpr.Esp] = Read(frame + 12);
        for (int n = 0; n < 6; n++) result.Selectors[n] = Ctx.SegmentOf(C, n)->Selector;
        result.Selectors[Seg.Cs] = (ushort)Read(frame + 4);
        result.Selectors[Seg.Ss] = (ushort)Read(frame + 16);
        if (result.Vector == 14) result.Cr2 = s.Cr2;
        if (withFpu)
        {
            fixed (byte* image = result.Fpu) FpuImage.StoreFx(ref s.Fpu, image);
        }
        return result;
    }

    /// <summary>The memory that the case began with.</summary>
    private byte[][] Expected(CompatTest test)
    {
        var copies = (byte[][])_pristine.Clone();
        foreach ((uint at, byte[] bytes) in test.Patches)
        {
            int n = RegionOf(at);
            if (!CompatLayout.Regions[n].Writable) continue;
            if (copies[n] == _pristine[n]) copies[n] = (byte[])_pristine[n].Clone();
            bytes.CopyTo(copies[n], at - CompatLayout.Regions[n].At);
        }
        return copies;
    }

    private void Collect(CompatResult result, byte[][] before)
    {
        for (int n = 0; n < CompatLayout.Regions.Length; n++)
        {
            CompatRegion region = CompatLayout.Regions[n];
            if (!region.Writable) continue;
            for (uint page = 0; page < region.Length; page += 4096)
            {
                ReadOnlySpan<byte> now = _memory.RamPage((region.At + page) >> 12), then = before[n].AsSpan((int)page, 4096);
                if (now.SequenceEqual(then)) continue;
                for (int k = 0; k < 4096; k++)
                {
                    if (now[k] == then[k]) continue;
                    if (result.DifferenceCount++ < CompatLayout.DifferencesMax) result.Differences.Add((region.At + page + (uint)k, now[k]));
                }
                _memory.Write(region.At + page, _pristine[n].AsSpan((int)page, 4096));
            }
        }
    }

    private void Restore(CompatTest test)
    {
        foreach ((uint at, byte[] bytes) in test.Patches)
        {
            int n = RegionOf(at);
            _memory.Write(at, _pristine[n].AsSpan((int)(at - CompatLayout.Regions[n].At), bytes.Length));
        }
    }

    private static int RegionOf(uint at) => Array.FindIndex(CompatLayout.Regions, r => at >= r.At && at < r.At + r.Length);

    private static Segment Loaded(ushort selector)
    {
        var segment = new Segment { Selector = selector };
        if (CompatLayout.Descriptor(selector) is CompatDescriptor entry)
        {
            segment.Attributes = entry.Attributes;
            segment.Base = entry.Base;
            segment.Limit = entry.Pages ? (entry.Limit << 12) | 0xfff : entry.Limit;
        }
        segment.Derive();
        return segment;
    }

    private static Segment Table(ushort selector, uint at, uint limit, ushort attributes)
    {
        var segment = new Segment { Selector = selector, Base = at, Limit = limit, Attributes = attributes };
        segment.Derive();
        return segment;
    }

    private void Descriptor(uint place, uint at, uint limit, uint attributes)
    {
        Write(place, (at << 16) | (limit & 0xffff));
        Write(place + 4, ((at >> 16) & 0xff) | (at & 0xff00_0000) | ((attributes << 8) & 0xf0_ff00) | (limit & 0xf_0000));
    }

    private uint Read(uint at)
    {
        Span<byte> bytes = stackalloc byte[4];
        _memory.Read(at, bytes);
        return BitConverter.ToUInt32(bytes);
    }

    private void Write(uint at, uint value) => _memory.Write(at, BitConverter.GetBytes(value));
}
