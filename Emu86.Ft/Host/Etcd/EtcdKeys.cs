// Where in etcd everything stands: all below emu86/, so that a role of etcd can be given this prefix.
using Google.Protobuf;

namespace Emu86.Ft.Host.Etcd;

internal static class EtcdKeys
{
    /// <summary>Made once and for ever: tells one etcd from another, whatever their addresses.</summary>
    public static ByteString Identity => ByteString.CopyFromUtf8("emu86/identity");

    /// <summary>The arbiter's value of a guest.</summary>
    public static ByteString Epoch(string guest) => ByteString.CopyFromUtf8($"{Guest(guest)}epoch");

    private static string Guest(string name) => $"emu86/guests/{Uri.EscapeDataString(name)}/";
}
