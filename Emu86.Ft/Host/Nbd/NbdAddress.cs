// Where a disk on an NBD server is, as the command line names it: nbd:HOST:PORT/EXPORT.
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Nbd;

/// <param name="At">The server.</param>
/// <param name="Export">The disk's name there; empty: the server's default one.</param>
public sealed record NbdAddress(Endpoint At, string Export)
{
    public const string Prefix = "nbd:";

    /// <summary>Longest name of an export in bytes (UTF-8), as the protocol bounds its strings.</summary>
    public const int ExportBytesMax = 4096;

    public override string ToString() => $"{Prefix}{At}/{Export}";
}
