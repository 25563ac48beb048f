// Guests under the translator: every state hash is the interpreter's.
using System.Collections.Concurrent;
using Emu86.Cpu;
using Emu86.Tests.Cpu;
using Emu86.Tests.Determinism;
using static Iced.Intel.AssemblerRegisters;

namespace Emu86.Tests.Translate;

public sealed class TranslatedGuestTests
{
    /// <summary>Self-modifying code, page tables without INVLPG, single steps, DMA, interrupts and HLT, stopped where it happens.</summary>
    [SkippableTheory]
    [InlineData(1u, 1_000)]
    [InlineData(2u, 77_777)]
    [InlineData(Processor.HotRunsDefault, 333)]
    public void The_chaos_guest_is_in_the_same_state_under_both_engines(uint hotRuns, int step)
    {
        using ChaosWorld interpreted = new(), translated = new();
        Skip.IfNot(translated.Machine.Board.Processor.UseTranslator(true, hotRuns), "the translator needs Linux on an x86-64 processor");
        for (ulong count = (ulong)step; count < 600_000; count += (ulong)step)
        {
            interpreted.RunTo(count);
            translated.RunTo(count);
            if (count % 10 == 0 || step > 10_000) translated.AssertEqualTo(interpreted);
        }
        translated.AssertEqualTo(interpreted);
        interpreted.AssertGuestIsWell();
    }

    /// <summary>When code becomes usable is up to the host's scheduler, and to nothing that the guest sees.</summary>
    [SkippableFact]
    public void A_guest_whose_code_another_thread_translates_is_in_the_same_state()
    {
        using ChaosWorld interpreted = new(), translated = new();
        Processor processor = translated.Machine.Board.Processor;
        using var wanted = new BlockingCollection<int>();
        processor.TranslationWanted = () => wanted.Add(0);
        Skip.IfNot(processor.UseTranslator(true, hotRuns: 3), "the translator needs Linux on an x86-64 processor");
        var thread = new Thread(() =>
        {
            var random = new Random(1);
            foreach (int _ in wanted.GetConsumingEnumerable())
            {
                if (random.Next(3) == 0) Thread.Sleep(random.Next(3));
                processor.TranslateNext();
            }
        });
        thread.Start();
        for (ulong count = 1_000; count < 600_000; count += 7_777)
        {
            interpreted.RunTo(count);
            translated.RunTo(count);
            translated.AssertEqualTo(interpreted);
        }
        wanted.CompleteAdding();
        thread.Join();
        interpreted.AssertGuestIsWell();
    }

    [SkippableFact]
    public void Changing_the_engine_in_mid_run_changes_nothing()
    {
        using ChaosWorld interpreted = new(), mixed = new();
        var random = new Random(1);
        bool on = false;
        for (ulong count = 0; count < 400_000;)
        {
            count += (ulong)random.Next(1, 5_000);
            on = !on;
            Skip.IfNot(mixed.Machine.Board.Processor.UseTranslator(on, hotRuns: 1), "the translator needs Linux on an x86-64 processor");
            mixed.RunTo(count);
        }
        interpreted.RunTo(mixed.Position.Count);
        mixed.AssertEqualTo(interpreted);
    }

    /// <summary>A fetch that faults belongs behind the boundary at which a run stops.</summary>
    [SkippableFact]
    public void A_jump_to_a_page_that_is_not_there_can_be_stopped_behind()
    {
        using SystemWorld interpreted = new(), translated = new();
        foreach (SystemWorld world in new[] { interpreted, translated })
        {
            world.AllGates();
            world.Protected().Paged();
            world.Write32(0x10_1000 + (0x42 * 4), 0);
            world.Cpu.AfterStateChange();
            for (uint n = 0; n < 256; n++) world.Bytes(SystemWorld.Handlers + n, 0x90);
            world.Code(SystemWorld.Handlers + 256, a => a.jmp(SystemWorld.CodeAt));
            world.Code(SystemWorld.CodeAt, a =>
            {
                a.mov(esp, 0x6_0000);
                a.inc(eax);
                a.jmp(0x4_2000);
            });
        }
        Skip.IfNot(translated.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs Linux on an x86-64 processor");
        for (ulong count = interpreted.S.Count + 1; count < 12_000; count++)
        {
            Assert.Equal(RunResult.Limit, interpreted.Cpu.Run(count));
            Assert.Equal(RunResult.Limit, translated.Cpu.Run(count));
            Assert.Equal((count, interpreted.S.Eip, interpreted.S.Cr2), (translated.S.Count, translated.S.Eip, translated.S.Cr2));
        }
    }

    /// <summary>Where there is no memory all bytes are FFh: an invalid instruction, as often as the guest likes.</summary>
    [SkippableFact]
    public unsafe void Code_where_there_is_no_memory_is_left_to_the_interpreter()
    {
        using SystemWorld world = new();
        Skip.IfNot(world.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs Linux on an x86-64 processor");
        world.AllGates();
        world.Protected();
        for (uint n = 0; n < 256; n++) world.Bytes(SystemWorld.Handlers + n, 0x90);
        world.Code(SystemWorld.Handlers + 256, a =>
        {
            a.inc(eax);
            a.jmp(SystemWorld.CodeAt);
        });
        world.Code(SystemWorld.CodeAt, a =>
        {
            a.mov(esp, 0x6_0000);
            a.jmp(0x7000_0000);
        });
        world.S.R[Gpr.Eax] = 0;
        Assert.Equal(RunResult.Limit, world.Step(30_000));
        Assert.True(world.S.R[Gpr.Eax] > 50, $"{world.S.R[Gpr.Eax]} invalid instructions");
    }

    /// <summary>An x87 operand across two pages is the interpreter's work between two pieces of translated code.</summary>
    [SkippableFact]
    public void The_x87_data_pointer_is_that_of_the_last_operand_whoever_accessed_it()
    {
        using SystemWorld interpreted = new SystemWorld().Protected().Paged(), translated = new SystemWorld().Protected().Paged();
        foreach (SystemWorld world in new[] { interpreted, translated })
        {
            Loop(world, a =>
            {
                a.fninit();
                a.fld(__dword_ptr[0x5_0010]);
                a.fild(__qword_ptr[0x5_0ffc]);
                a.fstp(st0);
                a.fstp(st0);
            });
        }
        Skip.IfNot(translated.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs Linux on an x86-64 processor");
        for (ulong count = interpreted.S.Count + 1; count < 200; count++)
        {
            interpreted.Cpu.Run(count);
            translated.Cpu.Run(count);
            Assert.Equal((count, interpreted.S.Eip, interpreted.S.Fpu.DataOffset), (translated.S.Count, translated.S.Eip, translated.S.Fpu.DataOffset));
        }
    }

    /// <summary>They cannot be found again from ESP: the return has moved it.</summary>
    [SkippableFact]
    public unsafe void Flags_of_an_addition_to_the_stack_pointer_are_seen_where_a_return_goes_elsewhere()
    {
        const uint Call = SystemWorld.CodeAt + 0x80, Usual = Call + 5, Routine = SystemWorld.CodeAt + 0x100, Other = SystemWorld.CodeAt + 0x180;
        using SystemWorld interpreted = new SystemWorld().Protected(), translated = new SystemWorld().Protected();
        foreach (SystemWorld world in new[] { interpreted, translated })
        {
            world.Code(SystemWorld.CodeAt, a =>
            {
                a.mov(esp, 0x5_fffc);
                a.mov(edx, Usual);
                a.mov(eax, Other);
                a.inc(ecx);
                a.test(ecx, 7);
                a.cmove(edx, eax);
                a.jmp(Call);
            });
            world.Code(Call, a =>
            {
                a.call(Routine);
                a.xor(eax, eax);
                a.jmp(SystemWorld.CodeAt);
            });
            world.Code(Routine, a =>
            {
                a.mov(__dword_ptr[esp], edx);
                a.push(eax);
                a.add(esp, 4);
                a.ret();
            });
            world.Code(Other, a =>
            {
                a.pushfd();
                a.pop(esi);
                a.imul(edi, edi, 5);
                a.add(edi, esi);
                a.jmp(SystemWorld.CodeAt);
            });
            world.Cpu.AfterStateChange();
        }
        Skip.IfNot(translated.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs Linux on an x86-64 processor");
        interpreted.Cpu.Run(10_000);
        translated.Cpu.Run(10_000);
        for (int n = 0; n < 8; n++) Assert.Equal((n, interpreted.S.R[n]), (n, translated.S.R[n]));
    }

    /// <summary>What an access remembers of a page is told apart by a number that at last begins again.</summary>
    [SkippableFact]
    public unsafe void A_page_that_was_mapped_elsewhere_is_not_remembered_when_the_numbers_begin_again()
    {
        using SystemWorld world = new SystemWorld().Protected().Paged();
        Skip.IfNot(world.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs Linux on an x86-64 processor");
        world.Write32(0x5_0000, 1);
        world.Write32(0x5_1000, 2);
        Loop(world, a => a.mov(eax, __dword_ptr[0x5_0000]));
        world.Cpu.Context->CellBase = 1UL << 32;
        Assert.Equal(RunResult.Limit, world.Step(300));
        Assert.Equal(1u, world.S.R[Gpr.Eax]);
        world.Cpu.Context->CellBase = 0xffff_ffffUL << 32;
        world.Write32(0x10_1000 + (0x50 * 4), 0x5_1007);
        Assert.Equal(1UL << 32, world.Cpu.Context->CellBase);
        Assert.Equal(RunResult.Limit, world.Step(300));
        Assert.Equal(2u, world.S.R[Gpr.Eax]);
    }

    /// <summary>A stack and an operand 4 MiB apart have the same place in the TLB: each drives the other out.</summary>
    [SkippableFact]
    public void An_instruction_with_two_accesses_in_one_TLB_entry_goes_on()
    {
        using SystemWorld world = new SystemWorld().Protected().Paged();
        Skip.IfNot(world.Cpu.UseTranslator(true, hotRuns: 2), "the translator needs Linux on an x86-64 processor");
        world.Write32(0x10_0004, 0x10_1007);
        world.Write32(0x6_0010, 0x1234_5678);
        Loop(world, a =>
        {
            a.mov(esp, 0x46_0100);
            a.push(__dword_ptr[0x6_0010]);
        });
        Assert.Equal(RunResult.Limit, world.Step(300));
        Assert.Equal(0x1234_5678u, world.Read32(0x6_00fc));
    }

    /// <summary>The same instructions over and over.</summary>
    private static void Loop(SystemWorld world, Action<Iced.Intel.Assembler> body)
    {
        world.Code(SystemWorld.CodeAt, a =>
        {
            Iced.Intel.Label again = a.CreateLabel();
            a.Label(ref again);
            body(a);
            a.jmp(again);
        });
        world.Cpu.AfterStateChange();
    }
}
