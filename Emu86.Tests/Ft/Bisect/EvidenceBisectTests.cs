// --bisect on evidence of a divergence: an engine with a fault is told from a copy that was damaged.
using Emu86.Ft.Cli;
using Emu86.Ft.Host;

namespace Emu86.Tests.Ft.Bisect;

public sealed unsafe class EvidenceBisectTests : IDisposable
{
    private const uint Untouched = 0x70_0123;

    private readonly string _folder = Directory.CreateTempSubdirectory("emu86-bisect").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_backups_engine_is_convicted_when_it_differs_again()
    {
        string file = DivergedPair.Run(_folder, 16 << 20, backup => backup.Machine.Board.Processor.Context->S.Dr[2] ^= 0x10);
        BisectRun run = BisectRun.Of(Options(file) with { Slice = 1 }, BisectRun.Faulty(119_999, 120_000, machine =>
        {
            if (machine.Position.Count == 120_000) machine.Board.Processor.Context->S.Dr[2] ^= 0x10;
        }));
        Assert.Equal(ExitCode.Diverged, run.ExitCode);
        Assert.Contains("the interpreter repeats the primary's run", run.Lines);
        Assert.Contains("the faulty engine repeats the backup's run", run.Lines);
        Assert.Contains("the first instruction that differs is the one executed from count 119999 to 120000", run.Lines);
        Assert.Contains("cpu: DR2 is 00000000h with the interpreter, 00000010h with the faulty engine", run.Lines);
    }

    [Fact]
    public void A_copy_that_was_damaged_is_told_from_an_engine_that_differs()
    {
        string file = DivergedPair.Run(_folder, 16 << 20, backup => backup.Machine.Board.Memory.Write(Untouched, [1]));
        BisectRun run = BisectRun.Of(Options(file));
        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.Contains("both engines agree at every state hash up to count 150000 (1)", run.Lines);
        Assert.Contains("this replay agrees with the primary: the backup's own run was damaged; memory pages in which the backup differed from this replay: 700000h", run.Text);
    }

    private RunOptions Options(string file) => new() { BisectFile = file, StateDir = _folder };
}
