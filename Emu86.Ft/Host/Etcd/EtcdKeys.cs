// Where in etcd everything stands: all below emu86/, so that a role of etcd can be given this prefix.
using Google.Protobuf;

namespace Emu86.Ft.Host.Etcd;

internal static class EtcdKeys
{
    /// <summary>Made once and for ever: tells one etcd from another, whatever their addresses.</summary>
    public static ByteString Identity => ByteString.CopyFromUtf8("emu86/identity");

    /// <summary>The arbiter's value of a guest.</summary>
    public static ByteString Epoch(string guest) => ByteString.CopyFromUtf8($"{Guest(guest)}epoch");

    /// <summary>What one candidate for a guest says of itself.</summary>
    public static ByteString Candidate(string guest, Guid candidate) => ByteString.CopyFromUtf8($"{Guest(guest)}candidates/{candidate:N}");

    /// <summary>The range of all candidates for a guest: '0' follows '/'.</summary>
    public static (ByteString First, ByteString End) Candidates(string guest) =>
        (ByteString.CopyFromUtf8($"{Guest(guest)}candidates/"), ByteString.CopyFromUtf8($"{Guest(guest)}candidates0"));

    private static string Guest(string name) => $"emu86/guests/{Uri.EscapeDataString(name)}/";
}
