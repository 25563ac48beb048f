// Who this process is to others, and whom it believes: TLS 1.3 with certificates on both sides, checked against --tls-ca alone
// (docs/ft-protocol.md, "Security").
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Emu86.Ft.Cli;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Host.Links;

/// <summary>This side's certificate with its key, and the authorities that sign the others'.</summary>
public sealed class TlsIdentity
{
    private readonly TlsFiles _files;
    private readonly X509Certificate2Collection _authorities;
    private readonly SslStreamCertificateContext _own;

    private TlsIdentity(TlsFiles files, X509Certificate2Collection authorities, X509Certificate2 own, X509Certificate2Collection between)
    {
        (_files, _authorities) = (files, authorities);
        // Offline: nothing is fetched from addresses that stand in certificates.
        _own = SslStreamCertificateContext.Create(own, between, offline: true);
    }

    /// <summary>Loads and checks what the options name; null when they name nothing.</summary>
    /// <exception cref="HostException">A file cannot be used, or others would refuse this certificate.</exception>
    public static TlsIdentity? Of(RunOptions options) => options.Tls is { } files ? Load(files) : null;

    /// <summary>Loads and checks a certificate, its key and the authorities.</summary>
    /// <exception cref="HostException">See <see cref="Of"/>.</exception>
    public static TlsIdentity Load(TlsFiles files)
    {
        X509Certificate2Collection authorities = Certificates("--tls-ca", files.Authority, out _);
        X509Certificate2Collection chain = Certificates("--tls-cert", files.Certificate, out string text);
        X509Certificate2 own = WithKey(files, text);
        chain.RemoveAt(0);
        var identity = new TlsIdentity(files, authorities, own, chain);
        foreach (string use in (string[])[CertificateAuthority.ServerUse, CertificateAuthority.ClientUse])
        {
            using var built = new X509Chain { ChainPolicy = identity.Policy(use) };
            built.ChainPolicy.ExtraStore.AddRange(chain);
            if (!built.Build(own)) throw new HostException($"--tls-cert {files.Certificate} would be refused by every other side: {ChainProblem(built)}");
        }
        return identity;
    }

    /// <summary>Others will ask for this side by a name. Throws <see cref="HostException"/> when the certificate has another one.</summary>
    public void RequireName(string host)
    {
        if (NameProblem(_own.TargetCertificate, host) is { } problem)
        {
            throw new HostException($"--tls-cert {_files.Certificate} is not for {host}, by which others reach this side: {problem}; give --listen with a name that it has, or another certificate");
        }
    }

    /// <summary>The handshake with a caller. Blocks; whoever calls bounds the time by closing the socket.</summary>
    /// <exception cref="ProtocolException">The caller is not who it should be, or speaks something else.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public Channel Accept(Socket socket, IPEndPoint remote)
    {
        string? problem = null;
        return Shake(socket, remote, ref problem, stream => stream.AuthenticateAsServer(new SslServerAuthenticationOptions
        {
            ServerCertificateContext = _own,
            ClientCertificateRequired = true,
            EnabledSslProtocols = SslProtocols.Tls13,
            CertificateChainPolicy = Policy(CertificateAuthority.ClientUse),
            AllowRenegotiation = false,
            AllowTlsResume = false,
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) => (problem = Problem(certificate, chain, errors, null)) is null,
        }));
    }

    /// <summary>The handshake with a process that was called. Blocks, like <see cref="Accept"/>. That the callee refuses this side's
    /// certificate shows only in the first receive: TLS 1.3 has it so.</summary>
    /// <param name="socket">Connected.</param>
    /// <param name="remote">Its other end.</param>
    /// <param name="host">The name or address that its certificate must have.</param>
    /// <exception cref="ProtocolException">See <see cref="Accept"/>.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public Channel Connect(Socket socket, IPEndPoint remote, string host)
    {
        string? problem = null;
        return Shake(socket, remote, ref problem, stream => stream.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = host,
            ClientCertificateContext = _own,
            EnabledSslProtocols = SslProtocols.Tls13,
            CertificateChainPolicy = Policy(CertificateAuthority.ServerUse),
            AllowRenegotiation = false,
            AllowTlsResume = false,
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) => (problem = Problem(certificate, chain, errors, host)) is null,
        }));
    }

    /// <summary>For a client of a server that is no emulator and has a certificate of the same authorities.</summary>
    public SslClientAuthenticationOptions ClientOptions() => new() { ClientCertificateContext = _own, CertificateChainPolicy = Policy(CertificateAuthority.ServerUse) };

    private static Channel Shake(Socket socket, IPEndPoint remote, ref string? problem, Action<SslStream> authenticate)
    {
        SslStream? stream = null;
        try
        {
            stream = new SslStream(new NetworkStream(socket, ownsSocket: false), leaveInnerStreamOpen: false);
            authenticate(stream);
            return new Channel(socket, remote, stream);
        }
        catch (Exception e) when (e is AuthenticationException or CryptographicException or IOException or SocketException or InvalidOperationException)
        {
            stream?.Dispose();
            if (problem is not null) throw new ProtocolException(problem);
            if (e is AuthenticationException or CryptographicException) throw new ProtocolException($"the TLS 1.3 handshake failed: {Innermost(e)}");
            throw new IOException("the connection ended during the TLS handshake", e);
        }
    }

    private static string Innermost(Exception e)
    {
        while (e.InnerException is { } inner) e = inner;
        return e.Message.ReplaceLineEndings(" ").TrimEnd('.');
    }

    /// <summary>How a chain is judged: by the given authorities, without the system's, without looking anything up.</summary>
    private X509ChainPolicy Policy(string use)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(_authorities);
        policy.ApplicationPolicy.Add(new Oid(use));
        return policy;
    }

    private static string? Problem(X509Certificate? shown, X509Chain? chain, SslPolicyErrors errors, string? host)
    {
        if (shown is not X509Certificate2 certificate || chain is null) return "it showed no certificate";
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors)) return ChainProblem(chain);
        return host is null ? null : NameProblem(certificate, host);
    }

    private static string ChainProblem(X509Chain chain)
    {
        // Nothing of the certificate is repeated but its dates: anybody may have made it.
        foreach (X509ChainElement element in chain.ChainElements)
        {
            if (!Has(element.ChainElementStatus, X509ChainStatusFlags.NotTimeValid)) continue;
            string whose = element == chain.ChainElements[0] ? "the certificate" : "an authority's certificate";
            return $"{whose} is valid from {element.Certificate.NotBefore.ToUniversalTime():u} to {element.Certificate.NotAfter.ToUniversalTime():u}, not now; make a new one, or set the clock";
        }
        if (Has(chain.ChainStatus, X509ChainStatusFlags.NotValidForUsage)) return "the certificate is made for another use; it must allow both server and client authentication";
        if (Has(chain.ChainStatus, X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain)) return "the certificate is not signed by an authority in --tls-ca; give both sides certificates of one authority";
        return $"the certificate is not valid: {chain.ChainStatus.FirstOrDefault().StatusInformation}";
    }

    private static bool Has(X509ChainStatus[] statuses, X509ChainStatusFlags flags) => Array.Exists(statuses, s => (s.Status & flags) != 0);

    private static string? NameProblem(X509Certificate2 certificate, string host)
    {
        try
        {
            // Only what the extension says: a common name is no host name (RFC 9525).
            if (certificate.MatchesHostname(host, allowWildcards: true, allowCommonName: false)) return null;
        }
        catch (ArgumentException)
        {
            return $"\"{host}\" is no name that a certificate can have";
        }
        X509SubjectAlternativeNameExtension? names = certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().FirstOrDefault();
        string[] has = names is null ? [] : [.. names.EnumerateDnsNames(), .. names.EnumerateIPAddresses().Select(a => a.ToString())];
        return $"the certificate does not name {host}; it names {(has.Length == 0 ? "nobody" : string.Join(", ", has))}";
    }

    private static X509Certificate2Collection Certificates(string option, string path, out string text)
    {
        text = Text(option, path);
        var found = new X509Certificate2Collection();
        try
        {
            found.ImportFromPem(text);
        }
        catch (CryptographicException e)
        {
            throw new HostException($"{option} {path} has a certificate that cannot be read: {e.Message}");
        }
        return found.Count > 0 ? found : throw new HostException($"{option} {path} has no certificate: it must be a PEM file with a CERTIFICATE in it");
    }

    private static X509Certificate2 WithKey(TlsFiles files, string certificate)
    {
        string key = Text("--tls-key", files.Key);
        try
        {
            X509Certificate2 own = X509Certificate2.CreateFromPem(certificate, key);
            // Windows' TLS cannot use a key that was never stored.
            return OperatingSystem.IsWindows() ? X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), null) : own;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new HostException($"--tls-key {files.Key} is not the unencrypted PEM key of the certificate in {files.Certificate}: {e.Message}");
        }
    }

    private static string Text(string option, string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new HostException($"{option} {path} is a directory; give the path of a file");
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HostException($"{option} {path} does not exist; check the path");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"{option} {path} cannot be read: {e.Message}");
        }
    }
}
