// A whole machine: running, snapshots and state hashes.
using System.Buffers;
using BenchmarkDotNet.Attributes;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Run;

namespace Emu86.Bench.Micro;

[MemoryDiagnoser]
public class MachineBenchmarks : IOutputSink, IDisposable
{
    private const int Slice = 100_000;

    private readonly ArrayBufferWriter<byte> _snapshot = new(32 << 20);
    private Machine _machine = null!;

    public void Emit(Output output)
    {
    }

    public void Dispose()
    {
        _machine?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The embedded guest with 128 MiB, some way into its start.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        var options = new RunOptions { Net = NetKind.None, RtcBase = DateTimeOffset.UnixEpoch };
        _machine = MachineBuilder.Build(MachineBuilder.Configure(options, [null, null, null, null]), [null, null, null, null], this);
        _machine.RunUntil(new Position(5_000_000, 0));
        _machine.StateHash();
    }

    /// <summary>State hash when no memory was written since the last one.</summary>
    [Benchmark]
    public UInt128 HashClean() => _machine.StateHash();

    /// <summary>The whole state as a snapshot, in memory.</summary>
    [Benchmark]
    public int Save()
    {
        _snapshot.ResetWrittenCount();
        _machine.Save(_snapshot);
        return _snapshot.WrittenCount;
    }

    /// <summary>A slice of instructions with all devices.</summary>
    [Benchmark(OperationsPerInvoke = Slice)]
    public StopReason Run() => _machine.RunUntil(new Position(_machine.Position.Count + Slice, 0));

    /// <summary>The same, with a state hash at its end.</summary>
    [Benchmark]
    public UInt128 RunAndHash()
    {
        Run();
        return _machine.StateHash();
    }
}
