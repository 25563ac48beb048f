// One machine, unprotected.
using System.Buffers;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Net;

namespace Emu86.Ft.Run;

/// <summary>The role without a name: run until the guest is off, the stop is reached, or a signal comes.</summary>
public sealed class Standalone(RunOptions options)
{
    private readonly Report _report = new(options.JsonLog);

    public int Run()
    {
        IBlockStore?[] disks = MachineBuilder.OpenDisks(options);
        byte[]? snapshot = options.Restore is { } file ? MachineBuilder.ReadFile("--restore", file) : null;
        MachineConfig config = snapshot is null ? MachineBuilder.Configure(options, disks) : ConfigOf(snapshot, disks);
        using IHostNetwork? network = Networks.Open(options);
        using ISerialTarget serial = SerialTargets.Open(options.Serial);
        var world = new WorldOutputs(options, serial, network);
        using Machine machine = MachineBuilder.Build(config, disks, world);
        if (snapshot is not null) Restore(machine, snapshot);
        var inputs = new InputQueue();
        bool fixedClock = options.FixedClock ?? (options.RtcBase is not null && options.Net == NetKind.None && options.Serial is "null" or "stdio" && Console.IsInputRedirected);
        bool hasInput = options.Net != NetKind.None || (options.Serial.StartsWith("tcp:", StringComparison.Ordinal) || (options.Serial == "stdio" && !Console.IsInputRedirected));
        var settings = new LiveSettings(options.Slice, options.StopAt ?? ulong.MaxValue, fixedClock, Paced: !fixedClock || hasInput);
        var loop = new LiveLoop(machine, inputs, settings, new FlushAtBoundary(serial))
        {
            DebtDropped = t => _report.Say($"the host stood still for {t.TotalSeconds:F1} s; the guest does not catch up"),
        };
        if (options.SaveSnapshot is { } save && options.SaveSnapshotAt is { } at) loop.At.Add(at, () => Save(machine, save));
        using var signals = new Signals(loop.Stop);
        network?.Start(inputs.Frame);
        if (hasInput) serial.Start(bytes => inputs.Put(InputEvent.SerialBytes(0, bytes)));
        LiveEnd end = loop.Run();
        serial.Flush();
        foreach (IBlockStore? disk in disks) disk?.Flush();
        if (options.SaveSnapshot is { } last && options.SaveSnapshotAt is null) Save(machine, last);
        if (options.PrintHash) Console.Out.WriteLine($"state-hash {machine.Position.Count} {machine.StateHash():x32}");
        return ExitCodeOf(end, machine, world);
    }

    private int ExitCodeOf(LiveEnd end, Machine machine, WorldOutputs world)
    {
        switch (end)
        {
            case LiveEnd.Dead:
                _report.Say($"the guest is halted at count {machine.Position.Count} and nothing can wake it");
                return options.StopAt is null ? ExitCode.Ok : ExitCode.Failure;
            case LiveEnd.Ended:
                return world.GuestExitCode ?? ExitCode.Ok;
            default:
                return ExitCode.Ok;
        }
    }

    private static MachineConfig ConfigOf(byte[] snapshot, IBlockStore?[] disks)
    {
        try
        {
            MachineConfig config = Snapshot.ReadConfig(new ReadOnlySequence<byte>(snapshot));
            for (int n = 0; n < 4; n++)
            {
                long have = disks[n]?.SectorCount ?? 0;
                if (config.DriveSectors[n] != have) throw new HostException($"the snapshot's machine has {config.DriveSectors[n]} sectors on --hd{(char)('a' + n)}, the given image {have}; give the image that belongs to the snapshot");
            }
            return config;
        }
        catch (StateFormatException e)
        {
            throw new HostException($"--restore: {e.Message}");
        }
    }

    private static void Restore(Machine machine, byte[] snapshot)
    {
        try
        {
            machine.Restore(new ReadOnlySequence<byte>(snapshot));
        }
        catch (StateFormatException e)
        {
            throw new HostException($"--restore: {e.Message}");
        }
    }

    private static void Save(Machine machine, string path)
    {
        var buffer = new ArrayBufferWriter<byte>(1 << 20);
        machine.Save(buffer);
        AtomicFile.Write("--save-snapshot", path, buffer.WrittenMemory);
    }

    /// <summary>Serial output becomes visible at slice boundaries.</summary>
    private sealed class FlushAtBoundary(ISerialTarget serial) : IRunLog
    {
        public void Input(Position at, InputEvent input)
        {
        }

        public bool WantsHash(Position at) => false;

        public void Hash(Position at, UInt128 hash)
        {
        }

        public void Boundary(Position at, bool idle) => serial.Flush();
    }
}
