// Certificates for a pair: an authority of one's own and what it signs (RFC 5280; keys on the curve P-256).
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Emu86.Ft.Host.Links;

/// <summary>A certificate and its private key as PEM text.</summary>
public sealed record CertificateWithKey(string CertificatePem, string KeyPem);

/// <summary>An authority that signs certificates of hosts.</summary>
public sealed class CertificateAuthority : IDisposable
{
    public const string ServerUse = "1.3.6.1.5.5.7.3.1", ClientUse = "1.3.6.1.5.5.7.3.2";

    private const int CommonNameCharsMax = 64;

    private readonly X509Certificate2 _certificate;

    private CertificateAuthority(X509Certificate2 certificate) => _certificate = certificate;

    public DateTimeOffset ValidFrom => _certificate.NotBefore;

    public DateTimeOffset ValidTo => _certificate.NotAfter;

    /// <summary>A new one.</summary>
    public static CertificateWithKey Create(string name, DateTimeOffset from, DateTimeOffset to)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new(Subject(name), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        using X509Certificate2 made = request.CreateSelfSigned(from, to);
        return new(made.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }

    /// <summary>One that was made before.</summary>
    /// <exception cref="CryptographicException">The texts are no certificate with its key.</exception>
    public static CertificateAuthority Load(CertificateWithKey pem) => new(X509Certificate2.CreateFromPem(pem.CertificatePem, pem.KeyPem));

    /// <summary>Signs a certificate for a host, which may call and be called.</summary>
    /// <param name="names">Host names and addresses, by which others reach it.</param>
    /// <param name="from">Not valid before; not before this authority is.</param>
    /// <param name="to">Not valid after; not after this authority is.</param>
    /// <param name="uses">Purposes; null: server and client.</param>
    public CertificateWithKey Issue(IReadOnlyList<string> names, DateTimeOffset from, DateTimeOffset to, string[]? uses = null)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new(Subject(names[0]), key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
        {
            if (IPAddress.TryParse(name, out IPAddress? address)) alternatives.AddIpAddress(address);
            else alternatives.AddDnsName(name);
        }
        var purposes = new OidCollection();
        foreach (string use in uses ?? [ServerUse, ClientUse]) purposes.Add(new Oid(use));
        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(purposes, critical: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        // Positive, and no leading zero byte.
        serial[0] = (byte)((serial[0] & 0x3f) | 0x40);
        using X509Certificate2 made = request.Create(_certificate, from, to, serial);
        return new(made.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }

    public void Dispose() => _certificate.Dispose();

    private static X500DistinguishedName Subject(string name)
    {
        var subject = new X500DistinguishedNameBuilder();
        subject.AddOrganizationName("emu86");
        subject.AddCommonName(name.Length <= CommonNameCharsMax ? name : name[..CommonNameCharsMax]);
        return subject.Build();
    }
}
