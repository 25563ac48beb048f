// SIGTERM and Ctrl-C: the first asks for an orderly end, the second ends at once with exit code 1.
using System.Runtime.InteropServices;

namespace Emu86.Ft.Host;

/// <summary>Watches for the signals that end the program.</summary>
public sealed class Signals : IDisposable
{
    private readonly PosixSignalRegistration[] _registrations;
    private int _seen;

    public Signals(Action end)
    {
        void On(PosixSignalContext context)
        {
            context.Cancel = true;
            if (Interlocked.Increment(ref _seen) > 1) Environment.Exit(ExitCode.Failure);
            end();
        }
        _registrations = [PosixSignalRegistration.Create(PosixSignal.SIGINT, On), PosixSignalRegistration.Create(PosixSignal.SIGTERM, On)];
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
    }
}
