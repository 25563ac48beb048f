// Handshakes in one process: who is let in, who is not, and what each side says about it.
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Ft.Tls;

public sealed class TlsIdentityTests : IDisposable
{
    private static readonly string[] ClientOnly = [CertificateAuthority.ClientUse], ServerOnly = [CertificateAuthority.ServerUse];

    private readonly TestCertificates _certificates = new(), _others = new();

    public void Dispose()
    {
        _certificates.Dispose();
        _others.Dispose();
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    public async Task Two_sides_of_one_authority_talk_in_both_directions(string name)
    {
        TlsIdentity one = TlsIdentity.Load(_certificates.Make(TestCertificates.Local)), other = TlsIdentity.Load(_certificates.Make(["elsewhere"]));
        (Socket caller, Socket callee) = Connected();
        Task<Channel> accepted = Task.Run(() => one.Accept(callee, Remote(callee)));
        using Channel near = other.Connect(caller, Remote(caller), name), far = await accepted;
        Assert.True(near.IsEncrypted && far.IsEncrypted);
        byte[] sent = new byte[100_000], got = new byte[100_000];
        new Random(1).NextBytes(sent);
        foreach ((Channel from, Channel to) in new[] { (near, far), (far, near) })
        {
            Task sending = Task.Run(() => from.Send(sent));
            for (int count = 0; count < got.Length;) count += to.Receive(got.AsSpan(count));
            await sending;
            Assert.Equal(sent, got);
        }
        near.EndSending();
        Assert.Equal(0, far.Receive(got));
    }

    [Theory]
    [InlineData("none", "it showed no certificate")]
    [InlineData("other authority", "not signed by an authority in --tls-ca")]
    [InlineData("expired", "is valid from")]
    [InlineData("not yet valid", "is valid from")]
    [InlineData("server only", "made for another use")]
    [InlineData("TLS 1.2", "the TLS 1.3 handshake failed")]
    public async Task A_caller_without_a_good_certificate_is_refused_with_a_sentence(string kind, string sentence)
    {
        TlsFiles? files = kind switch
        {
            "none" => null,
            "other authority" => _others.Make(TestCertificates.Local),
            "expired" => _certificates.Make(TestCertificates.Local, -30, -1),
            "not yet valid" => _certificates.Make(TestCertificates.Local, 1, 30),
            "server only" => _certificates.Make(TestCertificates.Local, uses: ServerOnly),
            _ => _certificates.Make(TestCertificates.Local),
        };
        TlsIdentity self = TlsIdentity.Load(_certificates.Make(TestCertificates.Local));
        (Socket caller, Socket callee) = Connected();
        Task calling = Task.Run(() => Call(caller, files, kind == "TLS 1.2" ? SslProtocols.Tls12 : SslProtocols.Tls13));
        ProtocolException refused = Assert.Throws<ProtocolException>(() => self.Accept(callee, Remote(callee)));
        Assert.Contains(sentence, refused.Message);
        callee.Dispose();
        await calling;
    }

    [Theory]
    [InlineData("other authority", "not signed by an authority in --tls-ca")]
    [InlineData("expired", "is valid from")]
    [InlineData("client only", "made for another use")]
    [InlineData("another name", "does not name 127.0.0.1; it names elsewhere, 10.1.2.3")]
    [InlineData("TLS 1.2", "the TLS 1.3 handshake failed")]
    public async Task A_callee_without_a_good_certificate_is_refused_with_a_sentence(string kind, string sentence)
    {
        TlsFiles files = kind switch
        {
            "other authority" => _others.Make(TestCertificates.Local),
            "expired" => _certificates.Make(TestCertificates.Local, -30, -1),
            "client only" => _certificates.Make(TestCertificates.Local, uses: ClientOnly),
            "another name" => _certificates.Make(["elsewhere", "10.1.2.3"]),
            _ => _certificates.Make(TestCertificates.Local),
        };
        TlsIdentity self = TlsIdentity.Load(_certificates.Make(TestCertificates.Local));
        (Socket caller, Socket callee) = Connected();
        Task serving = Task.Run(() => Serve(callee, files, kind == "TLS 1.2" ? SslProtocols.Tls12 : SslProtocols.Tls13));
        ProtocolException refused = Assert.Throws<ProtocolException>(() => self.Connect(caller, Remote(caller), "127.0.0.1"));
        Assert.Contains(sentence, refused.Message);
        caller.Dispose();
        await serving;
    }

    [Fact]
    public void A_common_name_is_no_host_name()
    {
        TlsFiles files = _certificates.Make(["elsewhere"]);
        TlsIdentity self = TlsIdentity.Load(files);
        self.RequireName("ELSEWHERE");
        Assert.Contains("it names elsewhere", Assert.Throws<HostException>(() => self.RequireName("127.0.0.1")).Message);
        Assert.Contains("no name that a certificate can have", Assert.Throws<HostException>(() => self.RequireName("a b")).Message);
    }

    [Fact]
    public void Garbage_and_a_broken_connection_end_the_handshake()
    {
        TlsIdentity self = TlsIdentity.Load(_certificates.Make(TestCertificates.Local));
        (Socket caller, Socket callee) = Connected();
        caller.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8);
        Assert.Contains("handshake failed", Assert.Throws<ProtocolException>(() => self.Accept(callee, Remote(callee))).Message);
        caller.Dispose();
        (caller, callee) = Connected();
        caller.Send([0x16, 3, 1]);
        caller.Dispose();
        Assert.Contains("ended during", Assert.Throws<IOException>(() => self.Accept(callee, Remote(callee))).Message);
    }

    [Theory]
    [InlineData("expired", "would be refused by every other side: the certificate is valid from")]
    [InlineData("other authority", "would be refused by every other side: the certificate is not signed")]
    [InlineData("server only", "made for another use")]
    [InlineData("client only", "made for another use")]
    [InlineData("other key", "is not the unencrypted PEM key of the certificate")]
    [InlineData("no key", "does not exist")]
    [InlineData("no certificate", "has no certificate")]
    [InlineData("directory", "is a directory")]
    public void A_certificate_that_nobody_would_accept_is_refused_at_the_start(string kind, string sentence)
    {
        TlsFiles good = _certificates.Make(TestCertificates.Local), files = kind switch
        {
            "expired" => _certificates.Make(TestCertificates.Local, -30, -1),
            "other authority" => good with { Authority = _others.Authority },
            "server only" => _certificates.Make(TestCertificates.Local, uses: ServerOnly),
            "client only" => _certificates.Make(TestCertificates.Local, uses: ClientOnly),
            "other key" => good with { Key = _certificates.Make(TestCertificates.Local).Key },
            "no key" => good with { Key = good.Key + "x" },
            "no certificate" => good with { Certificate = good.Key },
            _ => good with { Authority = Path.GetTempPath() },
        };
        HostException refused = Assert.Throws<HostException>(() => TlsIdentity.Load(files));
        Assert.Contains(sentence, refused.Message);
        Assert.StartsWith("--tls-", refused.Message);
    }

    private static IPEndPoint Remote(Socket socket) => (IPEndPoint)socket.RemoteEndPoint!;

    private static (Socket Caller, Socket Callee) Connected()
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        Socket caller = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000 };
        caller.Connect(listener.LocalEndPoint!);
        Socket callee = listener.Accept();
        callee.ReceiveTimeout = 20_000;
        return (caller, callee);
    }

    // Somebody else's program: it believes everything, and shows what it was given.
    private static void Call(Socket socket, TlsFiles? files, SslProtocols protocols)
    {
        using SslStream stream = new(new NetworkStream(socket, ownsSocket: true));
        IgnoringRefusal(() =>
        {
            stream.AuthenticateAsClient(new SslClientAuthenticationOptions
            {
                TargetHost = "127.0.0.1",
                EnabledSslProtocols = protocols,
                ClientCertificates = files is null ? null : new X509CertificateCollection { TestCertificates.Read(files) },
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            });
            stream.ReadByte();
        });
    }

    private static void Serve(Socket socket, TlsFiles files, SslProtocols protocols)
    {
        using SslStream stream = new(new NetworkStream(socket, ownsSocket: true));
        IgnoringRefusal(() => stream.AuthenticateAsServer(new SslServerAuthenticationOptions
        {
            ServerCertificate = TestCertificates.Read(files),
            EnabledSslProtocols = protocols,
            ClientCertificateRequired = true,
            RemoteCertificateValidationCallback = (_, _, _, _) => true,
        }));
    }

    private static void IgnoringRefusal(Action shake)
    {
        try
        {
            shake();
        }
        catch (Exception e) when (e is IOException or AuthenticationException or ObjectDisposedException)
        {
            // What the refused side makes of it is its own business.
        }
    }
}
