// An authority for a test, and what it signs, in files.
using System.Security.Cryptography.X509Certificates;
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Links;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft.Tls;

internal sealed class TestCertificates : IDisposable
{
    public static readonly string[] Local = ["localhost", "127.0.0.1"];

    private readonly TemporaryFolder _folder = new();
    private readonly CertificateAuthority _authority;
    private int _made;

    public TestCertificates()
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        CertificateWithKey pem = CertificateAuthority.Create("test", now.AddDays(-100), now.AddDays(100));
        _authority = CertificateAuthority.Load(pem);
        File.WriteAllText(Authority, pem.CertificatePem);
    }

    public string Authority => _folder["ca.pem"];

    /// <summary>The program's options for a certificate; none without one.</summary>
    public static string[] Options(TlsFiles? files) => files is null ? Array.Empty<string>() : ["--tls-cert", files.Certificate, "--tls-key", files.Key, "--tls-ca", files.Authority];

    /// <summary>A certificate with its key in memory.</summary>
    public static X509Certificate2 Read(TlsFiles files) => X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);

    public TlsFiles Make(string[] names, int fromDays = -1, int toDays = 30, string[]? uses = null)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        CertificateWithKey pem = _authority.Issue(names, now.AddDays(fromDays), now.AddDays(toDays), uses);
        int n = ++_made;
        File.WriteAllText(_folder[$"{n}.pem"], pem.CertificatePem);
        File.WriteAllText(_folder[$"{n}.key"], pem.KeyPem);
        return new TlsFiles(_folder[$"{n}.pem"], _folder[$"{n}.key"], Authority);
    }

    public void Dispose()
    {
        _authority.Dispose();
        _folder.Dispose();
    }
}
