// A primary and a backup without the protocol between them: the backup's run is damaged, and it writes evidence.
using Emu86.Devices;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;
using Emu86.Ft.Run;
using Emu86.Ft.Run.Pair;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft;

internal static class DivergedPair
{
    public const int Sectors = 256;

    /// <summary>Runs both sides, does something to the backup only, and returns the evidence that it writes.</summary>
    public static string Run(string folder, long bytesMax, Action<EvidenceSide> tamper, bool hashesAlikeAfter = false)
    {
        using var primary = new EvidenceSide();
        using var backup = new EvidenceSide();
        using var evidence = new BackupEvidence(folder, "g", bytesMax);
        backup.Attach(evidence);
        primary.RunTo(50_000);
        backup.RunTo(50_000);
        UInt128 hash = backup.Machine.StateHash();
        Assert.Equal(primary.Machine.StateHash(), hash);
        evidence.Attach(backup.Machine, [backup.History, null, null, null], 0, hash);
        Both(1, InputEvent.SerialBytes(0, "ab"u8.ToArray()));
        primary.RunTo(100_000);
        backup.RunTo(100_000);
        evidence.Received(new StateHashRecord(primary.Machine.Position, primary.Machine.StateHash(), UnitHashes.Parts(primary.Machine.StateHashes())) { Lsn = 2 });
        hash = backup.Machine.StateHash();
        Assert.Equal(primary.Machine.StateHash(), hash);
        evidence.Agreed(2, hash);
        Both(3, InputEvent.SerialBytes(0, "cd"u8.ToArray()));
        primary.RunTo(120_000);
        backup.RunTo(120_000);
        Both(4, InputEvent.Key(new byte[] { 0x1e }));
        tamper(backup);
        primary.RunTo(150_000);
        backup.RunTo(150_000);
        UInt128 said = primary.Machine.StateHash(), own = backup.Machine.StateHash();
        Assert.Equal(hashesAlikeAfter, said == own);
        evidence.Received(new StateHashRecord(primary.Machine.Position, said, UnitHashes.Parts(primary.Machine.StateHashes())) { Lsn = 5 });
        // What came after the difference does not belong into the evidence.
        evidence.Received(new InputRecord(primary.Machine.Position, InputEvent.Reset()) { Lsn = 6 });
        return evidence.Write(5, 1, own, null);

        void Both(ulong lsn, InputEvent input)
        {
            evidence.Received(new InputRecord(primary.Machine.Position, input) { Lsn = lsn });
            primary.Machine.Inject(input);
            backup.Machine.Inject(input);
        }
    }
}

/// <summary>One machine of the pair.</summary>
internal sealed class EvidenceSide : IDisposable
{
    private Machine? _machine;

    public MemoryDisk Image { get; } = MemoryDisk.WithPattern(DivergedPair.Sectors);

    public DiskHistory? History { get; private set; }

    public Machine Machine => _machine ??= new Machine(ChaosGuest.Config(DivergedPair.Sectors), [History is { } history ? history : Image, null, null, null], new OutputList());

    public void Attach(BackupEvidence evidence) => History = evidence.Keep(Image);

    public void RunTo(ulong count) => Assert.Equal(StopReason.Limit, Machine.RunUntil(new Position(count, 0)));

    public void Dispose() => _machine?.Dispose();
}
