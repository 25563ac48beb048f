// Errors of the host's disk: the guest sees them as the drive's, and the log holds them, so that another disk gives the same run.
using Emu86.Devices;
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

        public BlockResult Read(long lba, Span<byte> destination) => Fails() ? BlockResult.IoError : below.Read(lba, destination);

        public BlockResult Write(long lba, ReadOnlySpan<byte> source) => Fails() ? BlockResult.IoError : below.Write(lba, source);

        public BlockResult Flush() => Fails() ? BlockResult.IoError : below.Flush();

        private bool Fails() => ++_requests % every == 0;
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
