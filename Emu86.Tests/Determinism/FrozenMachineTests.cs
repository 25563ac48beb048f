// A machine that is frozen for another thread: what that reads is the state of one moment, and the guest notices nothing.
using System.Buffers;
using System.Collections.Concurrent;
using Emu86.Cpu;
using Emu86.Devices;
using FsCheck.Xunit;

namespace Emu86.Tests.Determinism;

public sealed class FrozenMachineTests
{
    private const int PageBytes = 4096;
    private const string NoTranslator = "the translator needs Linux on an x86-64 processor";

    /// <summary>Memory accesses of every kind: paging, self-modifying code, strings, disk and network DMA.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_read_while_the_guest_runs_on_is_its_state_at_the_freeze(bool translated)
    {
        using ChaosWorld world = new(), undisturbed = new();
        Skip.IfNot(world.Machine.Board.Processor.UseTranslator(translated, hotRuns: 3), NoTranslator);
        for (ulong count = 40_000; count < 280_000; count += 40_000)
        {
            world.RunTo(count);
            undisturbed.RunTo(count);
            UInt128 hash = undisturbed.Machine.StateHash();
            byte[] state = ChaosWorld.Save(undisturbed.Machine);
            using var frozen = new FrozenMachine(world.Machine, new MemorySpill(), 20 * PageBytes);
            Freeze(frozen, world.Machine);
            Task<Copy> reading = Task.Run(() => Copy.Of(frozen));
            for (ulong n = 1; n <= 30; n++) world.RunTo(count + 500 * n);
            Copy copy = await reading;
            Assert.Equal(hash, frozen.StateHash(copy.Hashes));
            using Machine again = copy.Restore(world.Machine.Config);
            Assert.Equal(hash, again.StateHash());
            Assert.Equal(state, ChaosWorld.Save(again));
            frozen.ReturnHashes(copy.Hashes);
            frozen.Dispose();
            undisturbed.RunTo(world.Position);
            world.AssertEqualTo(undisturbed);
        }
        world.AssertGuestIsWell();
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_guest_that_writes_its_memory_all_the_time_is_read_as_it_was(bool translated)
    {
        using Machine machine = new(WritingGuest(), [null, null, null, null], new OutputList()), undisturbed = new(WritingGuest(), [null, null, null, null], new OutputList());
        Skip.IfNot(machine.Board.Processor.UseTranslator(translated, hotRuns: 3), NoTranslator);
        for (ulong count = 300_000; count < 2_000_000; count += 300_000)
        {
            machine.RunUntil(new Position(count, 0));
            undisturbed.RunUntil(new Position(count, 0));
            byte[] state = ChaosWorld.Save(undisturbed);
            var spill = new MemorySpill();
            using var frozen = new FrozenMachine(machine, spill, 30 * PageBytes);
            Freeze(frozen, machine);
            // Nearly all of the memory that it writes has been written before the first page is read.
            for (ulong n = 1; n <= 25; n++) machine.RunUntil(new Position(count + 10_000 * n, 0));
            Assert.InRange(spill.Count, 1, 2048);
            Task<Copy> reading = Task.Run(() => Copy.Of(frozen));
            for (ulong n = 1; n <= 20; n++) machine.RunUntil(new Position(count + 250_000 + 2_000 * n, 0));
            Copy copy = await reading;
            using Machine again = copy.Restore(machine.Config);
            Assert.Equal(state, ChaosWorld.Save(again));
            frozen.ReturnHashes(copy.Hashes);
            undisturbed.RunUntil(machine.Position);
            Assert.Equal(undisturbed.StateHash(), machine.StateHash());
        }
    }

    /// <summary>Pages written and taken in any order, with room in memory for few and in the spill for some.</summary>
    [Property(MaxTest = 60)]
    public void A_page_is_taken_as_it_was_or_not_at_all((byte Page, bool Takes)[] deeds, byte room, byte spilled)
    {
        const uint First = 0x600;
        using var world = new ChaosWorld();
        world.RunTo(20_000);
        var memory = world.Machine.Board.Memory;
        using var frozen = new FrozenMachine(world.Machine, new MemorySpill(spilled % 8), (1 + room % 8) * PageBytes);
        for (uint page = 0; page < 32; page++) memory.Write((First + page) * PageBytes, [(byte)(page + 1)]);
        Assert.True(frozen.MakeRoom(0..3));
        Assert.True(frozen.MakeRoom(3..(room % 16)));
        Freeze(frozen, world.Machine);
        var taken = new SortedSet<uint>();
        byte[] content = new byte[PageBytes];
        foreach ((byte number, bool takes) in deeds)
        {
            uint page = number % 32u;
            if (!takes) memory.Write((First + page) * PageBytes, [0xff]);
            else if (taken.Add(page))
            {
                if (frozen.Take(First + page, content)) Assert.Equal(page + 1, content[0]);
                else Assert.True(frozen.IsIncomplete);
            }
        }
        int kept = deeds.Where((d, n) => !d.Takes && !deeds.Take(n).Any(e => e.Page % 32 == d.Page % 32)).Count();
        if (kept <= 1 + room % 8 + spilled % 8) Assert.False(frozen.IsIncomplete);
    }

    [Fact]
    public void A_writer_and_a_reader_at_full_speed_agree_about_every_page()
    {
        using var world = new ChaosWorld();
        world.RunTo(50_000);
        var memory = world.Machine.Board.Memory;
        for (int round = 0; round < 8; round++)
        {
            byte[][] before = [.. Enumerable.Range(0, 2048).Select(p => memory.RamPage((uint)p).ToArray())];
            using var frozen = new FrozenMachine(world.Machine, new MemorySpill(), 100 * PageBytes);
            Freeze(frozen, world.Machine);
            using var reader = new Reader(() =>
            {
                byte[] content = new byte[PageBytes];
                for (uint page = 0; page < frozen.PageCount; page++)
                {
                    Assert.True(frozen.Take(page, content));
                    Assert.Equal(before[page], content);
                }
            });
            var random = new Random(round);
            byte[] junk = new byte[600];
            while (!reader.HasEnded)
            {
                random.NextBytes(junk);
                for (int n = 0; n < 100; n++) memory.Write((uint)random.Next(0x10_0000, (8 << 20) - junk.Length), junk);
            }
        }
    }

    [Fact]
    public void A_freeze_that_is_given_up_leaves_nothing_behind()
    {
        using ChaosWorld world = new(), undisturbed = new();
        byte[] content = new byte[PageBytes];
        for (ulong count = 30_000; count <= 150_000; count += 30_000)
        {
            world.RunTo(count);
            var frozen = new FrozenMachine(world.Machine, new MemorySpill(0), PageBytes);
            Assert.True(frozen.Peek(0, content));
            if (count % 60_000 == 0) Freeze(frozen, world.Machine);
            world.RunTo(count + 5_000);
            frozen.Dispose();
            frozen.Dispose();
            Assert.Null(world.Machine.Board.Memory.Keeper);
            Assert.False(frozen.Peek(0, content));
            Assert.False(frozen.Take(0, content));
            undisturbed.RunTo(count + 5_000);
            world.AssertEqualTo(undisturbed);
        }
    }

    private static void Freeze(FrozenMachine frozen, Machine machine)
    {
        while (frozen.Rehearse())
        {
        }
        machine.Settle();
        frozen.Freeze();
    }

    // A system ROM that fills 512 KiB again and again, with another word each time.
    private static MachineConfig WritingGuest()
    {
        byte[] rom = new byte[0x1_0000];
        ((ReadOnlySpan<byte>)[0xea, 0x00, 0x00, 0x00, 0xf0]).CopyTo(rom.AsSpan(0xfff0));
        // mov bx,0; all: inc bx; mov dx,1000h; next: mov es,dx; xor di,di; mov cx,8000h; mov ax,bx; rep stosw; add dx,1000h; cmp dx,9000h; jne next; jmp all
        ((ReadOnlySpan<byte>)[0xbb, 0, 0, 0x43, 0xba, 0, 0x10, 0x8e, 0xc2, 0x31, 0xff, 0xb9, 0, 0x80, 0x89, 0xd8, 0xf3, 0xab, 0x81, 0xc2, 0, 0x10, 0x81, 0xfa, 0, 0x90, 0x75, 0xeb, 0xeb, 0xe5]).CopyTo(rom);
        return new MachineConfig { MemoryBytes = 8 << 20, Bios = rom, RtcBase = 1_700_000_000 };
    }

    /// <summary>A spill that holds so many pages.</summary>
    private sealed class MemorySpill(int pagesMax = int.MaxValue) : IPageSpill
    {
        private readonly ConcurrentDictionary<uint, byte[]> _pages = new();

        public int Count => _pages.Count;

        public bool Write(uint page, ReadOnlySpan<byte> content) => _pages.Count < pagesMax && _pages.TryAdd(page, content.ToArray());

        public bool Read(uint page, Span<byte> content)
        {
            if (!_pages.TryGetValue(page, out byte[]? kept)) return false;
            kept.CopyTo(content);
            return true;
        }
    }

    /// <summary>A thread whose failure is the test's.</summary>
    private sealed class Reader : IDisposable
    {
        private readonly Task _task;

        public Reader(Action work) => _task = Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        public bool HasEnded => _task.IsCompleted;

        public void Dispose() => _task.GetAwaiter().GetResult();
    }

    /// <summary>What another host would have of a frozen machine.</summary>
    private sealed record Copy(ulong[] Hashes, List<(uint Page, byte[] Content)> Pages, byte[] State)
    {
        public static Copy Of(FrozenMachine frozen)
        {
            ulong[] hashes = new ulong[frozen.PageCount];
            var pages = new List<(uint, byte[])>();
            byte[] content = new byte[PageBytes];
            for (uint page = 0; page < hashes.Length; page++)
            {
                Assert.True(frozen.Take(page, content));
                hashes[page] = FrozenMachine.PageHash(page, content);
                if (content.AsSpan().ContainsAnyExcept((byte)0)) pages.Add((page, content.ToArray()));
            }
            var state = new ArrayBufferWriter<byte>();
            frozen.SaveHeader(state);
            frozen.SaveRest(state);
            return new Copy(hashes, pages, state.WrittenSpan.ToArray());
        }

        public Machine Restore(MachineConfig config)
        {
            var machine = new Machine(config, [config.DriveSectors[0] == 0 ? null : MemoryDisk.WithPattern((int)config.DriveSectors[0]), null, null, null], new OutputList());
            machine.BeginRestore();
            foreach ((uint page, byte[] content) in Pages) machine.RestorePage(page, content);
            Assert.Throws<StateFormatException>(() => machine.RestorePage(PagesOf(config), Pages[0].Content));
            machine.EndRestore(new ReadOnlySequence<byte>(State));
            return machine;
        }

        private static ulong PagesOf(MachineConfig config) => (ulong)config.MemoryBytes / PageBytes;
    }
}
