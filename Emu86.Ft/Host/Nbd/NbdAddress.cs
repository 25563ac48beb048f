// Where a disk on an NBD server is, as the command line names it: nbd:HOST:PORT/EXPORT, or nbds: with TLS.
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Nbd;

/// <param name="At">The server.</param>
/// <param name="Export">The disk's name there; empty: the server's default one.</param>
/// <param name="IsSecure">Nothing but the greeting goes over the line in the clear.</param>
public sealed record NbdAddress(Endpoint At, string Export, bool IsSecure = false)
{
    public const string Prefix = "nbd:", SecurePrefix = "nbds:";

    /// <summary>Longest name of an export in bytes (UTF-8), as the protocol bounds its strings.</summary>
    public const int ExportBytesMax = 4096;

    /// <summary>This side's certificate for a secure one.</summary>
    public TlsFiles? Tls { get; init; }

    public override string ToString() => $"{(IsSecure ? SecurePrefix : Prefix)}{At}/{Export}";
}
