// A real etcd of one member, for tests: it can be killed and started again on the same port and data.
using System.Diagnostics;
using Emu86.Ft.Cli;
using Emu86.Tests.Ft.Tls;

namespace Emu86.Tests.Ft.Etcd;

internal sealed class EtcdServer : IDisposable
{
    public const string HowToGetIt = "needs etcd; on Debian: apt-get install etcd-server";

    private readonly string _data = Directory.CreateTempSubdirectory("emu86-etcd").FullName;
    private readonly int _port = PairProcess.FreePort(), _peerPort = PairProcess.FreePort();
    private readonly HttpClient _http;
    private readonly TlsFiles? _tls;
    private readonly bool _asksForCertificates;
    private Process? _process;

    private EtcdServer(TlsFiles? tls, bool asksForCertificates)
    {
        (_tls, _asksForCertificates) = (tls, asksForCertificates);
        var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator };
        if (tls is not null) handler.ClientCertificates.Add(TestCertificates.Read(tls));
        _http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(2) };
    }

    public static bool IsInstalled => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "etcd")));

    public int Port => _port;

    public string Address => $"etcd:{Url}";

    private string Url => $"{(_tls is null ? "http" : "https")}://127.0.0.1:{_port}";

    /// <summary>A new one that serves.</summary>
    /// <param name="tls">Its certificate; null: without TLS.</param>
    /// <param name="asksForCertificates">Only clients with a certificate of the same authority are served.</param>
    public static EtcdServer Started(TlsFiles? tls = null, bool asksForCertificates = false)
    {
        EtcdServer server = new(tls, asksForCertificates);
        server.Start();
        return server;
    }

    public void Start()
    {
        string peer = $"http://127.0.0.1:{_peerPort}";
        var start = new ProcessStartInfo("etcd") { RedirectStandardError = true, RedirectStandardOutput = true };
        string[] arguments =
        [
            "--name", "test", "--data-dir", Path.Combine(_data, "etcd"), "--listen-client-urls", Url, "--advertise-client-urls", Url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", $"test={peer}",
        ];
        if (_tls is { } tls) arguments = [.. arguments, "--cert-file", tls.Certificate, "--key-file", tls.Key];
        if (_asksForCertificates) arguments = [.. arguments, "--client-cert-auth", "--trusted-ca-file", _tls!.Authority];
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        for (long began = Stopwatch.GetTimestamp(); !Serves();)
        {
            Assert.False(_process.HasExited, "etcd ended at once");
            Assert.True(Stopwatch.GetElapsedTime(began).TotalSeconds < 60, "etcd did not come up within 60 s");
            Thread.Sleep(50);
        }
    }

    public void Kill()
    {
        _process!.Kill();
        _process.WaitForExit();
        _process.Dispose();
        _process = null;
    }

    public void Dispose()
    {
        if (_process is not null) Kill();
        _http.Dispose();
        Directory.Delete(_data, recursive: true);
    }

    private bool Serves()
    {
        try
        {
            return _http.GetStringAsync($"{Url}/health").Result.Contains("true", StringComparison.Ordinal);
        }
        catch (AggregateException)
        {
            return false;
        }
    }
}
