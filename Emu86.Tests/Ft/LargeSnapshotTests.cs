// Snapshots that are longer than an array can be.
using Emu86.Devices;
using Emu86.Ft.Run;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft;

public sealed class LargeSnapshotTests
{
    [SkippableFact]
    public void A_snapshot_of_more_than_2_GiB_is_read_back()
    {
        Skip.IfNot(Environment.GetEnvironmentVariable("EMU86_LARGE_TESTS") == "1", "set EMU86_LARGE_TESTS=1 on a host with 12 GB of free memory and 3 GB in the temporary directory");
        string path = Path.Combine(Path.GetTempPath(), $"emu86-large-{Guid.NewGuid():N}");
        MachineConfig config = ChaosGuest.Config(0) with { MemoryBytes = 3L << 30 };
        try
        {
            UInt128 hash;
            using (var machine = new Machine(config, [null, null, null, null], new OutputList()))
            {
                for (uint page = 0x1000; page < 0x1000 + (2200u << 8); page++) machine.Board.Memory.RamPage(page).Fill((byte)(page * 7 + 1));
                hash = machine.StateHash();
                SnapshotFile.Write("test", path, machine);
            }
            Assert.True(new FileInfo(path).Length > int.MaxValue);
            SnapshotFile file = SnapshotFile.Read(path);
            using var again = new Machine(file.Config, [null, null, null, null], new OutputList());
            file.RestoreTo(again);
            Assert.Equal(hash, again.StateHash());
        }
        finally
        {
            File.Delete(path);
        }
    }
}
