// A guest that does everything that could depend on where execution is cut: self-modifying code, page tables without INVLPG,
// single steps, REP, timers, serial port, keyboard, disk and network DMA, floating point, the time stamp counter, HLT.
// It is its own system ROM, so that it runs from the first instruction on.
using System.Buffers.Binary;
using Emu86.Devices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Determinism;

internal static class ChaosGuest
{
    /// <summary>Where the guest notes the vector of an exception that it did not expect, + 1.</summary>
    public const uint UnexpectedAt = 0x500;

    /// <summary>Interrupts counted by line, 4 bytes each; behind them the single steps.</summary>
    public const uint CountersAt = 0x600;

    public const int StepCounter = 16;

    private const uint RomAt = 0xf_0000, CodeOffset = 0x100, GdtOffset = 0x8000, GdtrOffset = 0x8020, IdtOffset = 0x9000, IdtrOffset = 0x8030;
    private const uint PageDirectory = 0x1_0000, PageTable = 0x1_1000, SecondTable = 0x1_2000, Prd = 0x2_0000, DiskBuffer = 0x2_2000, SelfModified = 0x4_0000, FrameAt = 0x5_2000;
    private const uint DiskBusyAt = 0x510, ScratchAt = 0x520, Stack = 0x9_0000;
    private const ushort BusMaster = 0xc000, Nic = 0xc100, NicData = 0xc110;

    public static MachineConfig Config(long diskSectors) => new()
    {
        MemoryBytes = 8 << 20,
        Bios = Rom(),
        DriveSectors = [diskSectors, 0, 0, 0],
        RtcBase = 1_700_000_000,
    };

    private static byte[] Rom()
    {
        byte[] rom = new byte[0x1_0000];
        ((ReadOnlySpan<byte>)[0xea, 0x00, 0x00, 0x00, 0xf0]).CopyTo(rom.AsSpan(0xfff0));
        // cli; lgdt cs:[gdtr]; cr0.pe = 1; jmp 8:code
        ((ReadOnlySpan<byte>)[0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x20, 0x80, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x66, 0xea, 0x00, 0x01, 0x0f, 0x00, 0x08, 0x00]).CopyTo(rom);
        BinaryPrimitives.WriteUInt64LittleEndian(rom.AsSpan((int)GdtOffset + 8), 0x00cf9b00_0000ffff);
        BinaryPrimitives.WriteUInt64LittleEndian(rom.AsSpan((int)GdtOffset + 16), 0x00cf9300_0000ffff);
        PointTo(rom, GdtrOffset, 23, RomAt + GdtOffset);
        PointTo(rom, IdtrOffset, 48 * 8 - 1, RomAt + IdtOffset);

        var a = new Assembler(32);
        Label[] vectors = [.. Enumerable.Range(0, 48).Select(_ => a.CreateLabel())];
        Program(a);
        Handlers(a, vectors);
        using var code = new MemoryStream();
        AssemblerResult result = a.Assemble(new StreamCodeWriter(code), RomAt + CodeOffset, BlockEncoderOptions.ReturnNewInstructionOffsets);
        code.ToArray().CopyTo(rom.AsSpan((int)CodeOffset));
        for (int v = 0; v < 48; v++)
        {
            uint handler = (uint)result.GetLabelRIP(vectors[v]);
            Span<byte> gate = rom.AsSpan((int)IdtOffset + v * 8);
            BinaryPrimitives.WriteUInt16LittleEndian(gate, (ushort)handler);
            BinaryPrimitives.WriteUInt16LittleEndian(gate[2..], 8);
            BinaryPrimitives.WriteUInt16LittleEndian(gate[4..], 0x8e00);
            BinaryPrimitives.WriteUInt16LittleEndian(gate[6..], (ushort)(handler >> 16));
        }
        return rom;
    }

    private static void PointTo(byte[] rom, uint offset, ushort limit, uint address)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(rom.AsSpan((int)offset), limit);
        BinaryPrimitives.WriteUInt32LittleEndian(rom.AsSpan((int)offset + 2), address);
    }

    private static void Program(Assembler a)
    {
        a.mov(ax, 16);
        a.mov(ds, ax);
        a.mov(es, ax);
        a.mov(ss, ax);
        a.mov(esp, Stack);
        a.lidt(__[RomAt + IdtrOffset]);
        Paging(a);
        Chips(a);
        Disk(a);
        NetworkCard(a);
        // mov eax, imm32; ret: the immediate is written in each round
        a.mov(__dword_ptr[SelfModified], 0xb8);
        a.mov(__byte_ptr[SelfModified + 5], 0xc3);
        a.fninit();
        a.mov(esi, 0x1234_5677);
        a.xor(edi, edi);
        a.xor(ebx, ebx);
        a.sti();

        Label loop = a.CreateLabel("loop");
        a.Label(ref loop);
        a.inc(ebx);
        a.imul(esi, esi, 1_103_515_245);
        a.add(esi, 12_345);
        Remap(a);
        a.mov(__dword_ptr[SelfModified + 1], esi);
        a.mov(eax, SelfModified);
        a.call(eax);
        a.add(edi, eax);
        Copy(a);
        Times(a);
        Float(a);
        When(a, 15, SingleSteps);
        When(a, 7, StartDisk);
        When(a, 31, SendFrame);
        When(a, 63, ForgetFrames);
        When(a, 31, SendSerial);
        When(a, 3, x => x.hlt());
        a.jmp(loop);
    }

    /// <summary>Every (mask + 1)th round.</summary>
    private static void When(Assembler a, int mask, Action<Assembler> body)
    {
        Label skip = a.CreateLabel();
        a.test(ebx, mask);
        a.jnz(skip);
        body(a);
        a.Label(ref skip);
    }

    private static void Paging(Assembler a)
    {
        // The first 4 MiB one to one, and a second table whose pages move about.
        Label fill = a.CreateLabel();
        a.mov(eax, 3);
        a.mov(ecx, 0);
        a.Label(ref fill);
        a.mov(__dword_ptr[ecx * 4 + PageTable], eax);
        a.add(eax, 0x1000);
        a.inc(ecx);
        a.cmp(ecx, 1024);
        a.jnz(fill);
        a.mov(__dword_ptr[PageDirectory], PageTable | 3);
        a.mov(__dword_ptr[PageDirectory + 4], SecondTable | 3);
        a.mov(__dword_ptr[SecondTable], 0x30_0003);
        a.mov(eax, PageDirectory);
        a.mov(cr3, eax);
        a.mov(eax, cr0);
        a.or(eax, 0x8001_0000);
        a.mov(cr0, eax);
    }

    private static void Remap(Assembler a)
    {
        a.mov(eax, esi);
        a.shr(eax, 16);
        a.and(eax, 3);
        a.shl(eax, 12);
        a.add(eax, 0x30_0003);
        a.mov(__dword_ptr[SecondTable], eax);
        a.mov(eax, ebx);
        a.and(eax, 0xffc);
        a.mov(__dword_ptr[eax + 0x40_0000], esi);
        a.add(edi, __dword_ptr[0x40_0004]);
        // The accessed and dirty bits that this set.
        a.add(edi, __dword_ptr[SecondTable]);
        // Sometimes the whole table moves.
        When(a, 31, x =>
        {
            x.xor(__dword_ptr[PageDirectory + 4], SecondTable ^ PageTable);
            x.add(edi, __dword_ptr[0x40_0008]);
            x.xor(__dword_ptr[PageDirectory + 4], SecondTable ^ PageTable);
        });
    }

    private static void Copy(Assembler a)
    {
        a.push(esi);
        a.push(edi);
        a.mov(ecx, 37);
        a.mov(esi, 0x5_0000);
        a.mov(edi, 0x5_0ff0);
        a.rep.movsd();
        a.pop(edi);
        a.pop(esi);
        a.mov(__dword_ptr[0x5_0000], esi);
        a.mov(eax, ebx);
        a.and(eax, 0xffe);
        a.mov(__word_ptr[eax + 0xb_8000], si);
        a.add(di, __word_ptr[eax + 0xb_8000]);
    }

    private static void Times(Assembler a)
    {
        a.rdtsc();
        a.add(edi, eax);
        a.mov(al, 0);
        a.@out(0x43, al);
        a.@in(al, 0x40);
        a.add(edi, eax);
        a.@in(al, 0x40);
        a.xor(edi, eax);
        a.mov(dx, 0x3da);
        a.@in(al, dx);
        a.add(edi, eax);
    }

    private static void Float(Assembler a)
    {
        a.mov(__dword_ptr[ScratchAt], edi);
        a.fild(__dword_ptr[ScratchAt]);
        a.fsin();
        a.fadd(st0, st0);
        a.fstp(__qword_ptr[ScratchAt + 8]);
        a.fild(__dword_ptr[ScratchAt]);
        a.fabs();
        a.fsqrt();
        a.fstp(__tbyte_ptr[ScratchAt + 16]);
        a.xor(edi, __dword_ptr[ScratchAt + 16]);
    }

    private static void SingleSteps(Assembler a)
    {
        a.pushfd();
        a.or(__dword_ptr[esp], 0x100);
        a.popfd();
        for (int n = 0; n < 12; n++) a.inc(edi);
        a.push(ss);
        a.pop(ss);
        a.dec(edi);
    }

    private static void Chips(Assembler a)
    {
        Out(a, 0x20, 0x11, 0x21, 0x20, 0x21, 0x04, 0x21, 0x01, 0xa0, 0x11, 0xa1, 0x28, 0xa1, 0x02, 0xa1, 0x01, 0x21, 0x00, 0xa1, 0x00);
        Out(a, 0x43, 0x34, 0x40, 0xe9, 0x40, 0x01);
        Out(a, 0x3fb, 0x83, 0x3f8, 0x01, 0x3f9, 0x00, 0x3fb, 0x03, 0x3fa, 0x07, 0x3fc, 0x0b, 0x3f9, 0x01);
        Out(a, 0x64, 0x60, 0x60, 0x43, 0x64, 0xae);
        // The real-time clock's periodic interrupt, 1024 Hz.
        Out(a, 0x70, 0x0b, 0x71, 0x42, 0x70, 0x0c);
        a.@in(al, 0x71);
    }

    private static void Disk(Assembler a)
    {
        Pci(a, 0x8000_0940, 0x8000_8000);
        Pci(a, 0x8000_0920, BusMaster | 1);
        Pci(a, 0x8000_0904, 5);
        a.mov(__dword_ptr[Prd], DiskBuffer);
        a.mov(__dword_ptr[Prd + 4], 0x8000_0800);
        a.mov(__dword_ptr[DiskBusyAt], 0);
    }

    private static void StartDisk(Assembler a)
    {
        Label busy = a.CreateLabel(), write = a.CreateLabel(), done = a.CreateLabel();
        a.cmp(__dword_ptr[DiskBusyAt], 0);
        a.jnz(busy);
        a.mov(__dword_ptr[DiskBusyAt], 1);
        a.mov(dx, BusMaster + 4);
        a.mov(eax, Prd);
        a.@out(dx, eax);
        Out(a, BusMaster + 2, 0x06, 0x1f6, 0xe0, 0x1f2, 4, 0x1f4, 0, 0x1f5, 0);
        a.mov(dx, 0x1f3);
        a.mov(eax, ebx);
        a.@out(dx, al);
        a.test(ebx, 8);
        a.jnz(write);
        Out(a, 0x1f7, 0xc8, BusMaster, 9);
        a.jmp(done);
        a.Label(ref write);
        a.mov(__dword_ptr[DiskBuffer + 8], esi);
        Out(a, 0x1f7, 0xca, BusMaster, 1);
        a.Label(ref done);
        a.nop();
        a.Label(ref busy);
        a.nop();
    }

    private static void NetworkCard(Assembler a)
    {
        Pci(a, 0x8000_1810, Nic | 1);
        Pci(a, 0x8000_1804, 1);
        Out(a, Nic, 0x21, Nic + 14, 0x48, Nic + 10, 0, Nic + 11, 0, Nic + 12, 0x14, Nic + 13, 0, Nic + 4, 0x40, Nic + 1, 0x46, Nic + 2, 0x80, Nic + 3, 0x46, Nic + 7, 0xff, Nic + 15, 0);
        Out(a, Nic, 0x61, Nic + 7, 0x47, Nic, 0x22);
        for (uint n = 0; n < 6; n++) a.mov(__byte_ptr[FrameAt + n], 0xff);
    }

    private static void SendFrame(Assembler a)
    {
        a.mov(__dword_ptr[FrameAt + 14], edi);
        Out(a, Nic + 8, 0, Nic + 9, 0x40, Nic + 10, 64, Nic + 11, 0, Nic, 0x12);
        a.push(esi);
        a.mov(esi, FrameAt);
        a.mov(ecx, 64);
        a.mov(dx, NicData);
        a.rep.outsb();
        a.pop(esi);
        Out(a, Nic, 0x22, Nic + 4, 0x40, Nic + 5, 64, Nic + 6, 0, Nic, 0x26);
    }

    private static void ForgetFrames(Assembler a)
    {
        // The first bytes of the ring, then BNRY = CURR - 1.
        Out(a, Nic + 8, 0, Nic + 9, 0x47, Nic + 10, 32, Nic + 11, 0, Nic, 0x0a);
        a.push(edi);
        a.mov(edi, 0x5_3000);
        a.mov(ecx, 32);
        a.mov(dx, NicData);
        a.rep.insb();
        a.pop(edi);
        a.add(edi, __dword_ptr[0x5_3000]);
        Out(a, Nic, 0x62);
        a.mov(dx, Nic + 7);
        a.@in(al, dx);
        a.dec(eax);
        a.mov(cl, al);
        Out(a, Nic, 0x22);
        a.mov(al, cl);
        a.mov(dx, Nic + 3);
        a.@out(dx, al);
    }

    private static void SendSerial(Assembler a)
    {
        a.mov(dx, 0x3f8);
        a.mov(eax, edi);
        a.@out(dx, al);
    }

    private static void Handlers(Assembler a, Label[] vectors)
    {
        for (int v = 0; v < 32; v++)
        {
            a.Label(ref vectors[v]);
            if (v == 1)
            {
                SteppedHandler(a);
                continue;
            }
            a.mov(__dword_ptr[UnexpectedAt], v + 1);
            a.cli();
            a.hlt();
        }
        for (int line = 0; line < 16; line++)
        {
            a.Label(ref vectors[32 + line]);
            a.push(eax);
            a.push(edx);
            a.inc(__dword_ptr[CountersAt + (uint)line * 4]);
            DeviceHandler(a, line);
            a.mov(al, 0x20);
            if (line >= 8) a.@out(0xa0, al);
            a.@out(0x20, al);
            a.pop(edx);
            a.pop(eax);
            a.iretd();
        }
    }

    private static void SteppedHandler(Assembler a)
    {
        Label more = a.CreateLabel();
        a.inc(__dword_ptr[CountersAt + StepCounter * 4]);
        a.test(__dword_ptr[CountersAt + StepCounter * 4], 7);
        a.jnz(more);
        a.and(__dword_ptr[esp + 8], 0xffff_feff);
        a.Label(ref more);
        a.iretd();
    }

    private static void DeviceHandler(Assembler a, int line)
    {
        switch (line)
        {
            case 1:
                a.@in(al, 0x60);
                a.add(__byte_ptr[ScratchAt + 40], al);
                break;
            case 4:
                a.mov(dx, 0x3fa);
                a.@in(al, dx);
                a.mov(dx, 0x3f8);
                a.@in(al, dx);
                a.@out(dx, al);
                a.add(__byte_ptr[ScratchAt + 41], al);
                break;
            case 8:
                Out(a, 0x70, 0x0c);
                a.@in(al, 0x71);
                break;
            case 14:
                a.mov(dx, 0x1f7);
                a.@in(al, dx);
                Out(a, BusMaster, 0, BusMaster + 2, 0x06);
                a.mov(__dword_ptr[DiskBusyAt], 0);
                break;
        }
    }

    /// <summary>Pairs of port and byte.</summary>
    private static void Out(Assembler a, params int[] pairs)
    {
        for (int n = 0; n < pairs.Length; n += 2)
        {
            a.mov(al, (byte)pairs[n + 1]);
            if (pairs[n] < 0x100)
            {
                a.@out((byte)pairs[n], al);
                continue;
            }
            a.mov(dx, (ushort)pairs[n]);
            a.@out(dx, al);
        }
    }

    private static void Pci(Assembler a, uint address, uint value)
    {
        a.mov(dx, 0xcf8);
        a.mov(eax, address);
        a.@out(dx, eax);
        a.mov(dx, 0xcfc);
        a.mov(eax, value);
        a.@out(dx, eax);
    }
}
