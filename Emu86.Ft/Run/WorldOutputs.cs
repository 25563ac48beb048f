// Delivers a machine's outputs to the world: consoles, network, stderr.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Net;

namespace Emu86.Ft.Run;

/// <summary>The host end of every output. <see cref="Emit"/> sends at once; under the output rule the gate calls it when it may.</summary>
public sealed class WorldOutputs(RunOptions options, ISerialTarget serial, IHostNetwork? network) : IOutputSink
{
    private readonly Report _report = new(options.JsonLog);

    /// <summary>What the guest wrote to isa-debug-exit, as the exit code; null when it did not.</summary>
    public int? GuestExitCode { get; private set; }

    public void Emit(Output output)
    {
        switch (output.Kind)
        {
            case OutputKind.SerialByte when output.Unit == 0: serial.Put((byte)output.Value); break;
            case OutputKind.Frame: network?.Send(output.Data); break;
            case OutputKind.DebugByte when output.Unit == 0x80 && options.PostPort: _report.Say($"post {output.Value:x2}"); break;
            case OutputKind.DebugByte when output.Unit != 0x80 && options.DebugPort: Console.Error.Write((char)output.Value); break;
            case OutputKind.GuestExit: GuestExitCode = (int)((output.Value << 1) | 1) & 0xff; break;
        }
    }
}
