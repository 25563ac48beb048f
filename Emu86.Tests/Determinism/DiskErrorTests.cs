// Errors of the host's disk: the guest sees them as the drive's, and the log holds them, so that another disk gives the same run.
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Run;

namespace Emu86.Tests.Determinism;

public sealed class DiskErrorTests
{
    private const int Sectors = 256;
    private const ulong StopAt = 300_000;

    [Theory]
    [InlineData(1_234, 3)]
    [InlineData(100_000, 2)]
    [InlineData(50, 5)]
    public void A_run_with_disk_errors_is_repeated_on_a_disk_that_has_none(ulong slice, int every)
    {
        var image = MemoryDisk.WithPattern(Sectors);
        var log = new Log();
        using var live = new Machine(ChaosGuest.Config(Sectors), [new FailingDisk(image, every), null, null, null], new OutputList());
        var queue = new InputQueue();
        var random = new Random(5);
        log.AtBoundary = () =>
        {
            if (random.Next(4) == 0) queue.Put(InputEvent.SerialBytes(0, new byte[] { (byte)random.Next() }));
        };
        new LiveLoop(live, queue, new LiveSettings(slice, StopAt, FixedClock: true, Paced: false), log).Run();
        live.Settle();
        foreach (DiskFailure failure in live.TakeDiskFailures()) log.DiskFailed(live.Position, failure);
        Assert.InRange(log.Inputs.Count(i => i.Input.Kind == InputKind.DiskResult), 2, 10_000);

        var copy = MemoryDisk.WithPattern(Sectors);
        using var again = new Machine(ChaosGuest.Config(Sectors), [copy, null, null, null], new OutputList());
        foreach ((Position at, InputEvent input) in log.Inputs)
        {
            if (at > again.Position) Assert.Equal(StopReason.Limit, again.RunUntil(at));
            Assert.Equal(at, again.Position);
            again.Inject(input);
        }
        if (live.Position > again.Position) Assert.Equal(StopReason.Limit, again.RunUntil(live.Position));
        Assert.Equal(live.StateHashes(), again.StateHashes());
        Assert.Equal(image.Bytes, copy.Bytes);
    }

    [Fact]
    public void A_run_that_waits_for_its_disk_is_the_run_of_one_that_never_failed()
    {
        var said = new List<string>();
        var patience = new DiskPatience(said.Add) { RetryMs = 1 };
        MemoryDisk image = MemoryDisk.WithPattern(Sectors), good = MemoryDisk.WithPattern(Sectors);
        using var waiting = new Machine(ChaosGuest.Config(Sectors), PatientDisk.Over([new FailingDisk(image, 3), null, null, null], patience), new OutputList());
        using var undisturbed = new Machine(ChaosGuest.Config(Sectors), [good, null, null, null], new OutputList());
        foreach (Machine machine in new[] { waiting, undisturbed }) Assert.Equal(StopReason.Limit, machine.RunUntil(new Position(StopAt, 0)));
        Assert.Equal(undisturbed.StateHashes(), waiting.StateHashes());
        Assert.Equal(good.Bytes, image.Bytes);
        Assert.InRange(said.Count(s => s.Contains("the guest stands still until its disk hda works again")), 2, 10_000);
        Assert.Equal(said.Count / 2, said.Count(s => s.Contains("the disk hda works again, the guest goes on")));
        Assert.Null(patience.Problem);
    }

    [Fact]
    public void A_disk_that_may_not_wait_or_whose_run_ends_gives_its_error_at_once()
    {
        var patience = new DiskPatience(_ => { }) { RetryMs = 1, MayWait = () => false };
        IBlockStore disk = PatientDisk.Over([new FailingDisk(MemoryDisk.WithPattern(Sectors), 1)], patience)[0]!;
        Assert.Equal(BlockResult.IoError, disk.Read(0, new byte[512]));
        Assert.False(patience.HasGivenUp);
        patience.MayWait = () => true;
        using var end = new Timer(_ => patience.End(), null, 50, Timeout.Infinite);
        Assert.Equal(BlockResult.IoError, disk.Write(0, new byte[512]));
        Assert.Equal(BlockResult.IoError, disk.Flush());
        Assert.True(patience.HasGivenUp);
        Assert.Null(patience.Problem);
    }

    [Fact]
    public void A_flush_that_is_tried_again_brings_back_what_the_failed_one_lost()
    {
        var disk = new ForgetfulDisk(MemoryDisk.WithPattern(Sectors));
        IBlockStore patient = PatientDisk.Over([disk], new DiskPatience(_ => { }) { RetryMs = 1 })[0]!;
        byte[] model = MemoryDisk.WithPattern(Sectors).Bytes;
        var random = new Random(1);
        for (int n = 0; n < 100; n++)
        {
            byte[] data = new byte[512 * random.Next(1, 20)];
            random.NextBytes(data);
            int lba = random.Next(Sectors - 20);
            Assert.Equal(BlockResult.Ok, patient.Write(lba, data));
            data.CopyTo(model, lba * 512);
            if (n % 10 != 9) continue;
            disk.Fails = 1 + n / 10 % 2;
            Assert.Equal(BlockResult.Ok, patient.Flush());
            Assert.Equal(model, disk.Durable.Bytes);
        }
    }

    [Fact]
    public void The_run_stops_where_a_request_failed()
    {
        using var machine = new Machine(ChaosGuest.Config(Sectors), [new FailingDisk(MemoryDisk.WithPattern(Sectors), 1), null, null, null], new OutputList());
        Assert.Equal(StopReason.DiskFailed, machine.RunUntil(new Position(StopAt, 0)));
        Assert.Equal([new DiskFailure(0, 1)], machine.TakeDiskFailures());
        Assert.Empty(machine.TakeDiskFailures());
        Assert.InRange(machine.Position.Count, 1ul, StopAt - 1);
    }

    /// <summary>Fails every nth request, and does nothing then.</summary>
    private sealed class FailingDisk(IBlockStore below, int every) : IBlockStore
    {
        private int _requests;

        public long SectorCount => below.SectorCount;

        public bool IsReadOnly => false;

        public BlockResult Read(long lba, Span<byte> destination)
        {
            if (!Fails()) return below.Read(lba, destination);
            // It came half-way.
            destination[..(destination.Length / 2)].Fill(0xee);
            return BlockResult.IoError;
        }

        public BlockResult Write(long lba, ReadOnlySpan<byte> source) => Fails() ? BlockResult.IoError : below.Write(lba, source);

        public BlockResult Flush() => Fails() ? BlockResult.IoError : below.Flush();

        private bool Fails() => ++_requests % every == 0;
    }

    /// <summary>A cache over a disk: a flush that fails drops it, as a kernel does, and the next one has nothing to do.</summary>
    private sealed class ForgetfulDisk(MemoryDisk durable) : IBlockStore
    {
        private readonly List<(long Lba, byte[] Data)> _cache = [];

        public MemoryDisk Durable => durable;

        /// <summary>So many flushes to come fail.</summary>
        public int Fails { get; set; }

        public long SectorCount => durable.SectorCount;

        public bool IsReadOnly => false;

        public BlockResult Read(long lba, Span<byte> destination) => BlockResult.IoError;

        public BlockResult Write(long lba, ReadOnlySpan<byte> source)
        {
            _cache.Add((lba, source.ToArray()));
            return BlockResult.Ok;
        }

        public BlockResult Flush()
        {
            bool fails = Fails-- > 0;
            foreach ((long lba, byte[] data) in _cache)
            {
                if (!fails) durable.Write(lba, data);
            }
            _cache.Clear();
            return fails ? BlockResult.IoError : BlockResult.Ok;
        }
    }

    private sealed class Log : IRunLog
    {
        public List<(Position At, InputEvent Input)> Inputs { get; } = [];

        public Action? AtBoundary { get; set; }

        public void Input(Position at, InputEvent input) => Inputs.Add((at, input));

        public void DiskFailed(Position at, DiskFailure failure) => Inputs.Add((at, failure.AsInput()));

        public bool WantsHash(Position at) => false;

        public void Hash(Position at, UInt128 hash)
        {
        }

        public void Boundary(Position at, bool idle) => AtBoundary!();
    }
}
