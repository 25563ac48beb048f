// A kernel in the last quarter of three address spaces, which change all the time: what the processor keeps from one to the next must
// not be told from what it would find anew at every instruction.
using Emu86.Cpu;
using Emu86.Cpu.Decode;
using FsCheck.Xunit;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Cpu;

public sealed unsafe class AddressSpaceTests
{
    private const uint Shared = 0xc000_0000, MoreShared = 0xc040_0000;

    // Physical: directories, the tables of PDE 0 of each, those of the shared part.
    private const uint Directories = 0x10_0000, PrivateTables = 0x10_4000, SharedTable = 0x10_8000, MoreSharedTable = 0x10_9000;
    private const int Spaces = 3;

    private const uint Data = 0x4_0000, DataPages = 32, RoutinePages = 0x6_0000, UserPages = 0x7_0000, Kernel = SystemWorld.CodeAt;

    /// <summary>Linear pages below the shared part: data, a routine that the kernel calls, what ring 3 runs.</summary>
    private const uint PrivatePages = 48, Routine = 64 << 12, User = 65 << 12;

    private const int Cells = 64, CellBytes = 64;

    [Property(MaxTest = 60)]
    public void What_is_kept_of_an_address_space_cannot_be_told_from_what_is_found_anew(int seed) => Compare(seed, translate: false);

    [SkippableFact]
    public void Nor_can_what_translated_code_keeps()
    {
        for (int seed = 1000; seed < 1040; seed++) Compare(seed, translate: true);
    }

    /// <summary>Nothing was looked up in the second space before one of the entries changes that it shares with the first.</summary>
    [Fact]
    public void What_is_kept_is_dropped_when_the_new_directory_changes_before_it_was_walked()
    {
        using SystemWorld world = World(new Random(1));
        world.Write32(MoreSharedTable, Data | 0x63);
        uint entry = Shared + Directories + 0x1000 + (MoreShared >> 20);
        world.Code(Kernel, a =>
        {
            a.mov(eax, __dword_ptr[MoreShared]);
            a.mov(ecx, __dword_ptr[entry]);
            // From here on this page's writes pass unseen.
            a.mov(__dword_ptr[entry], ecx);
            SwitchTo(a, 1);
            a.mov(__dword_ptr[entry], 0);
            a.mov(ebx, __dword_ptr[MoreShared]);
        });
        world.Step(6);
        Assert.Equal(0u, world.S.Cr2);
        world.Step();
        Assert.Equal(MoreShared, world.S.Cr2);
    }

    private static void Compare(int seed, bool translate)
    {
        using SystemWorld anew = World(new Random(seed)), kept = World(new Random(seed));
        Skip.If(translate && !kept.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs an x86-64 host with Linux");
        var random = new Random(seed);
        for (int stop = 0; stop < 12; stop++)
        {
            int count = random.Next(1, 400);
            for (int n = 0; n < count; n++)
            {
                Assert.Equal(RunResult.Limit, anew.Step());
                anew.Cpu.Mmu.FlushAll();
            }
            Assert.Equal(RunResult.Limit, kept.Step((ulong)count));
            Assert.Equal(anew.S.Eip, kept.S.Eip);
            Assert.Equal(anew.S.Count, kept.S.Count);
            Assert.Equal(anew.S.Cr3, kept.S.Cr3);
            Assert.Equal(Flags.Get(anew.C), Flags.Get(kept.C));
            for (int n = 0; n < 8; n++) Assert.Equal(anew.S.R[n], kept.S.R[n]);
            for (uint page = 0; page < kept.Memory.RamBytes >> 12; page++) Assert.True(anew.Memory.RamPage(page).SequenceEqual(kept.Memory.RamPage(page)), $"page {page:x}");
            // Epochs run out, once.
            if (stop == 6) kept.C->Epochs = Epochs.Last - (uint)random.Next(1, 40);
        }
    }

    private static SystemWorld World(Random random)
    {
        SystemWorld world = new SystemWorld().Protected();
        for (int vector = 0; vector < 256; vector++) world.InterruptGate(vector, Shared + SystemWorld.Handlers + (uint)vector, 0xee);
        world.Write32(SystemWorld.Tss + 4, Shared + SystemWorld.Stack0);
        Handlers(world);
        var bytes = new byte[DataPages << 12];
        random.NextBytes(bytes);
        world.Memory.Write(Data, bytes);
        for (uint n = 0; n < 3; n++)
        {
            uint change = n + 1;
            world.Code(RoutinePages + (n << 12), a =>
            {
                a.add(esi, change);
                a.ret();
            });
            world.Code(UserPages + (n << 12), a =>
            {
                a.mov(eax, __dword_ptr[ebx]);
                a.add(esi, change);
                a.@int(0x80);
            });
        }
        Tables(world, random);
        for (int cell = 0; cell < Cells; cell++) world.Code(Kernel + (uint)(cell * CellBytes), a => Cell(a, random, (cell + 1) % Cells));
        world.S.Gdtr.Base = Shared + SystemWorld.Gdt;
        world.S.Idtr.Base = Shared + SystemWorld.Idt;
        world.S.Tr.Base = Shared + SystemWorld.Tss;
        world.S.R[Gpr.Esp] = Shared + SystemWorld.Stack0;
        // Ring 3 would lose the kernel's own.
        world.S.Ds.Selector = world.S.Es.Selector = SystemWorld.Data3;
        world.S.Ds.Attributes = world.S.Es.Attributes |= 3 << 5;
        world.S.Eip = Shared + Kernel;
        world.S.Cr3 = Directories;
        world.S.Cr0 |= Modes.Cr0Pg | Modes.Cr0Wp;
        world.Cpu.AfterStateChange();
        return world;
    }

    /// <summary>#PF: the kernel's accesses are two bytes long and skipped, a routine that is not there has returned, ring 3 is done.
    /// 80h: ring 3 is done, and goes on where EDI says.</summary>
    private static void Handlers(SystemWorld world)
    {
        const uint pageFault = SystemWorld.Handlers + 0x200, call = SystemWorld.Handlers + 0x280;
        world.Code(pageFault, a =>
        {
            Label user = a.CreateLabel(), routine = a.CreateLabel();
            a.test(__byte_ptr[esp + 8], 3);
            a.jne(user);
            a.cmp(__dword_ptr[esp + 4], Shared);
            a.jb(routine);
            a.add(esp, 4);
            a.add(__dword_ptr[esp], 2);
            a.iretd();
            a.Label(ref routine);
            a.add(esp, 16);
            a.ret();
            a.Label(ref user);
            a.add(esp, 24);
            a.jmp(edi);
        });
        world.Code(call, a =>
        {
            a.add(esp, 20);
            a.jmp(edi);
        });
        // Vectors enter a byte apart: these two have room up to the next.
        world.InterruptGate(Vector.Pf, Shared + pageFault, 0xee);
        world.InterruptGate(0x80, Shared + call, 0xee);
    }

    private static void Tables(SystemWorld world, Random random)
    {
        for (uint page = 0; page < 512; page++) world.Write32(SharedTable + (page * 4), (page << 12) | 0x63);
        for (uint page = 0; page < DataPages; page++) world.Write32(MoreSharedTable + (page * 4), DataEntry(random, 0));
        for (uint space = 0; space < Spaces; space++)
        {
            uint directory = Directories + (space << 12), table = PrivateTables + (space << 12);
            world.Write32(directory, table | 7);
            world.Write32(directory + (Shared >> 20), SharedTable | 0x63);
            world.Write32(directory + (MoreShared >> 20), MoreSharedTable | 0x63);
            for (uint page = 0; page < PrivatePages; page++) world.Write32(table + (page * 4), DataEntry(random, 4));
            world.Write32(table + (Routine >> 10), RoutineEntry(random));
            world.Write32(table + (User >> 10), UserEntry(random));
        }
    }

    private static uint DataEntry(Random random, uint rights) => Data + ((uint)random.Next((int)DataPages) << 12) | rights | (uint)random.Next(4);

    private static uint RoutineEntry(Random random) => RoutinePages + ((uint)random.Next(3) << 12) | (random.Next(8) == 0 ? 0u : 1);

    private static uint UserEntry(Random random) => UserPages + ((uint)random.Next(3) << 12) | (random.Next(8) == 0 ? 1u : 5);

    /// <summary>A linear address of data; those of one page are few, so that translations are used again.</summary>
    private static uint Place(Random random) => (uint)random.Next(3) switch
    {
        0 => (uint)random.Next((int)PrivatePages) << 12,
        1 => Shared + Data + ((uint)random.Next((int)DataPages) << 12),
        _ => MoreShared + ((uint)random.Next((int)DataPages) << 12),
    } + (uint)(4 * random.Next(8));

    private static void Cell(Assembler a, Random random, int next)
    {
        uint nextAt = Kernel + (uint)(next * CellBytes);
        switch (random.Next(11))
        {
            case 0 or 1 or 2:
                a.mov(ebx, Place(random));
                a.mov(eax, __dword_ptr[ebx]);
                a.add(esi, eax);
                break;
            case 3 or 4:
                a.mov(ebx, Place(random));
                a.mov(eax, esi);
                a.mov(__dword_ptr[ebx], eax);
                break;
            case 5 or 6:
                ChangeTable(a, random);
                break;
            case 7:
                SwitchTo(a, (uint)random.Next(Spaces));
                break;
            case 8:
                // A directory changes before anything was found in it.
                uint to = (uint)random.Next(Spaces);
                SwitchTo(a, to);
                Change(a, SharedEntry(random, to));
                a.mov(ebx, MoreShared + ((uint)random.Next((int)DataPages) << 12));
                a.mov(eax, __dword_ptr[ebx]);
                a.add(esi, eax);
                break;
            case 9:
                // Rarely: from then on nothing is kept.
                if (random.Next(4) != 0) goto case 10;
                a.mov(ecx, Routine);
                a.call(ecx);
                break;
            case 10:
                a.mov(ebx, Place(random));
                a.mov(edi, Shared + nextAt);
                a.push(SystemWorld.Data3);
                a.push(0x1000);
                a.push(2);
                a.push(SystemWorld.Code3);
                a.push((int)User);
                a.iretd();
                return;
        }
        a.jmp(nextAt);
    }

    private static void ChangeTable(Assembler a, Random random)
    {
        uint space = (uint)random.Next(Spaces), table = PrivateTables + (space << 12), directory = Directories + (space << 12);
        Change(a, random.Next(8) switch
        {
            0 => (table + (Routine >> 10), RoutineEntry(random)),
            1 => (table + (User >> 10), UserEntry(random)),
            2 => (directory, (PrivateTables + ((uint)random.Next(Spaces) << 12)) | (random.Next(4) == 0 ? 0u : 7)),
            3 => SharedEntry(random, space),
            4 => (MoreSharedTable + (4 * (uint)random.Next((int)DataPages)), DataEntry(random, 0)),
            _ => (table + (4 * (uint)random.Next((int)PrivatePages)), DataEntry(random, 4)),
        });
    }

    /// <summary>An entry of the shared part: not there, not accessed, or as in the other directories.</summary>
    private static (uint Entry, uint Value) SharedEntry(Random random, uint space) =>
        (Directories + (space << 12) + (MoreShared >> 20), MoreSharedTable | (random.Next(4) switch { 0 => 0u, 1 => 3u, _ => 0x63u }));

    private static void SwitchTo(Assembler a, uint space)
    {
        a.mov(eax, Directories + (space << 12));
        a.mov(cr3, eax);
    }

    private static void Change(Assembler a, (uint Entry, uint Value) change)
    {
        a.mov(ebx, Shared + change.Entry);
        a.mov(eax, change.Value);
        a.mov(__dword_ptr[ebx], eax);
    }
}
