// Which arbiter a guest has, and how it is opened.
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Etcd;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host;

internal static class Arbiters
{
    private const int RetryMs = 500;

    /// <summary>The arbiter as --arbiter names it: the one that was given, else the one that a disk's side file knows, else a directory of this user.</summary>
    public static string AddressOf(RunOptions options, string? known = null)
    {
        string address = options.Arbiter ?? known ?? FileArbiter.Prefix + Path.Combine(StateDirectories.Of(options), "arbiter");
        return address.StartsWith(FileArbiter.Prefix, StringComparison.Ordinal) ? FileArbiter.Prefix + Path.GetFullPath(address[FileArbiter.Prefix.Length..]) : address;
    }

    /// <summary>Opens an arbiter. Throws <see cref="HostException"/> when it cannot be used.</summary>
    /// <param name="address">file:PATH or etcd:URL[,URL...].</param>
    /// <param name="guest">The guest's name, the key.</param>
    /// <param name="tls">For an etcd with https:.</param>
    /// <param name="wait">Told why an etcd that may come later is waited for; null: it must be there.</param>
    public static IArbiter Open(string address, string guest, TlsIdentity? tls, Action<string>? wait)
    {
        if (address.StartsWith(FileArbiter.Prefix, StringComparison.Ordinal)) return new FileArbiter(address[FileArbiter.Prefix.Length..], guest);
        var arbiter = new EtcdArbiter(new EtcdConnection(EtcdAddress.Parse("the arbiter", address), tls), guest);
        string? said = null;
        while (true)
        {
            try
            {
                arbiter.OpenAsync(CancellationToken.None).GetAwaiter().GetResult();
                return arbiter;
            }
            catch (EtcdException e) when (e.Failure == EtcdFailure.Unreachable && wait is not null)
            {
                if (e.Message != said) wait($"{e.Message}; waiting for it");
                said = e.Message;
                Thread.Sleep(RetryMs);
            }
            catch (EtcdException e)
            {
                arbiter.Dispose();
                throw new HostException($"the arbiter cannot be used: {e.Message}");
            }
        }
    }
}
