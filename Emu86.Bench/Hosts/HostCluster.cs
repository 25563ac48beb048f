// A guest on a cluster of hosts: each with emu86 and a cable for the guest, an etcd, and a client.
using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

/// <summary>A host that offers itself, and the process on it that does.</summary>
internal sealed class ClusterHost(TestHost host, int number)
{
    public TestHost Host => host;

    public int Number => number;

    /// <summary>The running or last process; all sides have the same command line.</summary>
    public Side Process { get; set; } = null!;

    public override string ToString() => host.Name;
}

internal sealed class HostCluster : IDisposable
{
    private const int FirstNumber = 11, ClientNumber = 2, EtcdNumber = 3, NbdNumber = 4, GuestNumber = 100, Listen = 8686, Status = 8800, Nbd = 10809;
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(60), Booting = TimeSpan.FromSeconds(180);

    private readonly SoakOptions _options;
    private readonly string _directory = Directory.CreateTempSubdirectory("emu86-hosts").FullName;
    private readonly HostNetwork _network = new();
    private readonly TestHost _client, _etcdHost;
    private readonly HttpClient _http;
    private readonly string? _image;
    private Side? _etcd;

    /// <param name="options">Program and guest.</param>
    /// <param name="sides">How many hosts offer themselves.</param>
    /// <param name="image">A disk image of which each host has a copy; null: the guest has no disk.</param>
    /// <param name="isShared">There is one copy only, which an NBD server on a host of its own serves.</param>
    public HostCluster(SoakOptions options, int sides, string? image = null, bool isShared = false)
    {
        (_options, _image) = (options, image);
        _client = _network.Add("client", ClientNumber, hasGuest: false);
        _etcdHost = _network.Add("etcd", EtcdNumber, hasGuest: false);
        Hosts = [.. Enumerable.Range(0, sides).Select(n => new ClusterHost(_network.Add($"host {n + 1}", FirstNumber + n, hasGuest: true), FirstNumber + n))];
        if (isShared) NbdHost = _network.Add("nbd", NbdNumber, hasGuest: false);
        Frames = new FrameWatch(_network, GuestMac);
        MakeCertificates();
        _http = NewHttp();
        StartEtcd();
    }

    public static byte[] GuestMac { get; } = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    public ClusterHost[] Hosts { get; }

    public FrameWatch Frames { get; }

    public TestHost Client => _client;

    public TestHost EtcdHost => _etcdHost;

    /// <summary>The host of the shared disk; null when each host has a copy of its own.</summary>
    public TestHost? NbdHost { get; }

    /// <summary>Every emu86 that was started.</summary>
    public List<Side> Processes { get; } = [];

    /// <summary>A TCP port of the guest, as the client's host reaches it.</summary>
    public Service Guest(int port) => new(new IPEndPoint(IPAddress.Parse($"{HostNetwork.Subnet}.{GuestNumber}"), port), _client.NewTcpSocket);

    /// <summary>Where a host's copy of the image is.</summary>
    public string ImageOf(ClusterHost host) => Path.Combine(_directory, NbdHost is null ? $"disk-{host.Number}.img" : "disk.img");

    /// <summary>Starts all sides and waits until the first is live and protected and the guest answers pings of its services.</summary>
    public ClusterHost Begin()
    {
        if (_image is not null) File.Copy(_image, ImageOf(Hosts[0]));
        if (NbdHost is not null) StartNbd(NbdHost);
        Start(Hosts[0]);
        Hosts[0].Process.WaitFor("role primary", Soon);
        foreach (ClusterHost host in Hosts[1..]) Start(host);
        Hosts[0].Process.WaitFor("protected by", Booting);
        return Hosts[0];
    }

    public void Start(ClusterHost host) => Processes.Add(host.Process = host.Host.Start(host.Host.Name, _options,
    [
        .. _options.Command, "--primary", "--cluster", $"etcd:http://{_etcdHost.Address}:2379,name=soak", "--listen", $"{host.Host.Address}:{Listen}", .. Tls(host.Host.Address.ToString()),
        "--net", $"tap,ifname={TestHost.TapName}", "--serial", "null", "--status", $"127.0.0.1:{Status}", "--state-dir", Path.Combine(_directory, $"state-{host.Number}"), .. GuestArguments(host),
    ]));

    /// <summary>The host that the live side's line names as its backup.</summary>
    public ClusterHost BackupIn(string protectedLine) => Hosts.First(h => protectedLine.Contains($"{h.Host.Address}:", StringComparison.Ordinal));

    /// <summary>The side's /status; null when it does not answer.</summary>
    public JsonNode? StatusOf(ClusterHost host)
    {
        try
        {
            using HttpResponseMessage answer = Ask(host, HttpMethod.Get, "status");
            return JsonNode.Parse(answer.Content.ReadAsStream());
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or SoakException)
        {
            return null;
        }
    }

    /// <summary>A control operation of the side.</summary>
    public void Control(ClusterHost host, string operation)
    {
        using HttpResponseMessage answer = Ask(host, HttpMethod.Post, $"control/{operation}");
        if (!answer.IsSuccessStatusCode) throw new SoakException($"{host} refuses {operation}: {new StreamReader(answer.Content.ReadAsStream()).ReadToEnd()}");
    }

    private HttpResponseMessage Ask(ClusterHost host, HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, $"https://127.0.0.1:{Status}/{path}");
        request.Options.Set(new HttpRequestOptionsKey<TestHost>("host"), host.Host);
        return _http.Send(request);
    }

    public void StopEtcd()
    {
        _etcd!.Signal(Side.SigTerm);
        _ = _etcd.WaitForExit(Soon);
    }

    public void StartEtcd()
    {
        string clients = $"http://{_etcdHost.Address}:2379", peers = "http://127.0.0.1:2380";
        _etcd = _etcdHost.Start("etcd", _options,
        [
            "etcd", "--data-dir", Path.Combine(_directory, "etcd"), "--log-level", "error", "--listen-client-urls", clients, "--advertise-client-urls", clients,
            "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", $"default={peers}",
        ]);
        for (long began = Stopwatch.GetTimestamp(); ; Thread.Sleep(50))
        {
            try
            {
                _client.NewTcpSocketTo(_etcdHost.Address, 2379).Dispose();
                return;
            }
            catch (SocketException)
            {
                if (Stopwatch.GetElapsedTime(began) > Soon) throw new SoakException($"etcd does not answer; {_etcd.Last()}");
            }
        }
    }

    /// <summary>The NBD server's process, or null.</summary>
    public int? NbdProcess => NbdHost is null ? null : int.Parse(File.ReadAllText(NbdPidFile), System.Globalization.CultureInfo.InvariantCulture);

    public void Dispose()
    {
        _http.Dispose();
        Frames.Dispose();
        _network.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private string NbdPidFile => Path.Combine(_directory, "nbd.pid");

    private string FenceFile => Path.Combine(_directory, "fence.sh");

    // Whoever was live is cut off by ending the server, with all that it had of it: a new one serves whoever connects.
    private void StartNbd(TestHost host)
    {
        File.WriteAllText(FenceFile, $"""
            old=$(cat {NbdPidFile})
            kill -9 "$old"
            for n in $(seq 200); do
                new=$(cat {NbdPidFile} 2>/dev/null)
                [ "$new" != "$old" ] && [ -n "$new" ] && kill -0 "$new" && exit 0
                sleep 0.02
            done
            exit 1
            """);
        Side server = host.Start("nbd", _options,
        [
            "sh", "-c", $"while :; do setpriv --pdeathsig KILL qemu-nbd -f raw -x disk -b {host.Address} -p {Nbd} -t -e 16 --pid-file {NbdPidFile} {Path.Combine(_directory, "disk.img")} >/dev/null 2>&1; sleep 0.02; done",
        ]);
        for (long began = Stopwatch.GetTimestamp(); !File.Exists(NbdPidFile) || File.ReadAllText(NbdPidFile).Length == 0; Thread.Sleep(20))
        {
            if (Stopwatch.GetElapsedTime(began) > Soon) throw new SoakException($"qemu-nbd does not start (Debian: apt-get install qemu-utils); {server.Last()}");
        }
    }

    private string[] GuestArguments(ClusterHost host)
    {
        string disk = _image is null ? "" : " root=/dev/sda2";
        string[] kernel = ["--kernel", Path.Combine(_options.GuestDirectory, "vmlinuz"), "--initrd", Path.Combine(_options.GuestDirectory, "initrd.gz"),
            "--append", $"console=ttyS0,115200 quiet emu86.dhcp=off ip={HostNetwork.Subnet}.{GuestNumber}/24{disk}"];
        return _image is null ? kernel
            : NbdHost is { } nbd ? [.. kernel, "--hda", $"nbd:{nbd.Address}:{Nbd}/disk", "--disks", "shared", "--fence-command", $"sh {FenceFile}", "--on-disk-error", "stop"]
            : [.. kernel, "--hda", ImageOf(host), "--overwrite-disk"];
    }

    private void MakeCertificates()
    {
        string names = string.Join(',', Hosts.Select(h => $"{h.Host.Address}"));
        Side maker = Side.StartCommand("make-certs", [.. _options.Command, "--make-certs", _directory, "--cert-name", $"{names},localhost+127.0.0.1"], _options.Verbose);
        if (maker.WaitForExit(Soon) != 0) throw new SoakException(maker.Last());
    }

    private string[] Tls(string name) => ["--tls-cert", Path.Combine(_directory, $"{name}.pem"), "--tls-key", Path.Combine(_directory, $"{name}.key"), "--tls-ca", Path.Combine(_directory, "ca.pem")];

    private HttpClient NewHttp()
    {
        var own = X509Certificate2.CreateFromPemFile(Path.Combine(_directory, "localhost.pem"), Path.Combine(_directory, "localhost.key"));
        return new HttpClient(new SocketsHttpHandler
        {
            PooledConnectionLifetime = TimeSpan.Zero,
            ConnectCallback = (context, _) =>
            {
                context.InitialRequestMessage.Options.TryGetValue(new HttpRequestOptionsKey<TestHost>("host"), out TestHost? host);
                return ValueTask.FromResult<Stream>(new NetworkStream(host!.NewTcpSocketTo(IPAddress.Loopback, Status), ownsSocket: true));
            },
            SslOptions = new SslClientAuthenticationOptions
            {
                ClientCertificates = [own],
                // The process on the other end was started here.
                RemoteCertificateValidationCallback = static (_, _, _, _) => true,
            },
        })
        { Timeout = TimeSpan.FromSeconds(2) };
    }
}
