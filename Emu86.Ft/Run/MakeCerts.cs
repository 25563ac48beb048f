// The role --make-certs: an authority of one's own, and a certificate with its key for each host of a pair.
using System.Net;
using System.Security.Cryptography;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;

namespace Emu86.Ft.Run;

/// <summary>Writes ca.pem, ca.key and NAME.pem, NAME.key; overwrites nothing. An authority that is there already signs the new ones.</summary>
public sealed class MakeCerts(RunOptions options)
{
    private const string Authority = "ca";
    private const int AuthorityDays = 3650, HostDays = 825;

    private readonly Report _report = new(options.JsonLog);

    public int Run()
    {
        string directory = options.MakeCerts!;
        try
        {
            Directory.CreateDirectory(directory);
            // Hosts' clocks differ.
            DateTimeOffset from = DateTimeOffset.UtcNow.AddDays(-1);
            CertificateWithKey? existing = Existing(directory);
            foreach (IReadOnlyList<string> names in options.CertNames)
            {
                foreach (string path in (string[])[PathOf(directory, names[0], "pem"), PathOf(directory, names[0], "key")])
                {
                    if (File.Exists(path)) throw new HostException($"--make-certs overwrites nothing, and {path} is there already; remove it, or choose another directory or name");
                }
            }
            CertificateWithKey pem = existing ?? CertificateAuthority.Create($"emu86 authority {Path.GetFileName(Path.GetFullPath(directory))}", from, from.AddDays(AuthorityDays));
            using CertificateAuthority authority = CertificateAuthority.Load(pem);
            if (authority.ValidTo < DateTimeOffset.UtcNow.AddDays(1)) throw new HostException($"--make-certs {directory}: the authority there is valid to {authority.ValidTo.UtcDateTime:u} only; choose another directory for a new one");
            if (existing is null) Write(directory, Authority, pem);
            foreach (IReadOnlyList<string> names in options.CertNames)
            {
                DateTimeOffset begin = from > authority.ValidFrom ? from : authority.ValidFrom, end = begin.AddDays(HostDays);
                Write(directory, names[0], authority.Issue(names, begin, end < authority.ValidTo ? end : authority.ValidTo));
            }
            _report.Say($"give each host its own certificate and key, and {PathOf(directory, Authority, "pem")}: --tls-cert, --tls-key, --tls-ca; keep {PathOf(directory, Authority, "key")} away from them");
            return ExitCode.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"--make-certs {directory} cannot be written: {e.Message}");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new HostException($"--make-certs {directory}: the authority there cannot be used: {e.Message}; choose another directory");
        }
    }

    private static string PathOf(string directory, string name, string kind) => Path.Combine(directory, $"{name.Replace(':', '-')}.{kind}");

    private static CertificateWithKey? Existing(string directory)
    {
        string certificate = PathOf(directory, Authority, "pem"), key = PathOf(directory, Authority, "key");
        return (File.Exists(certificate), File.Exists(key)) switch
        {
            (true, true) => new(File.ReadAllText(certificate), File.ReadAllText(key)),
            (false, false) => null,
            (true, false) => throw new HostException($"--make-certs overwrites nothing: {certificate} is there, but its key {key} is not, without which it signs nothing; choose another directory"),
            _ => throw new HostException($"--make-certs overwrites nothing: {key} is there without {certificate}; choose another directory"),
        };
    }

    private void Write(string directory, string name, CertificateWithKey pem)
    {
        // The key first: a certificate without its key could not be completed later.
        Write(PathOf(directory, name, "key"), pem.KeyPem, isSecret: true);
        Write(PathOf(directory, name, "pem"), pem.CertificatePem, isSecret: false);
        _report.Say($"wrote {PathOf(directory, name, "pem")} and {PathOf(directory, name, "key")}");
    }

    private static void Write(string path, string text, bool isSecret)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        // From the first moment on: set later, somebody could have opened it before.
        if (isSecret && !OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var file = new StreamWriter(path, options);
        file.Write(text);
        file.Write('\n');
    }
}
