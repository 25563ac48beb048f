// A switch, a primary and a backup as separate processes, in a directory and on ports of their own.
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Emu86.Bench.Soak;

/// <summary>The processes of one round. They end with it.</summary>
internal sealed class SoakPair : IDisposable
{
    private readonly SoakOptions _options;
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-soak").FullName;
    private readonly List<Side> _sides = [];
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(2) };
    private readonly int _switchPort, _firstListen, _secondListen, _firstStatus, _secondStatus, _extraPort, _clockPort;

    public SoakPair(SoakOptions options)
    {
        _options = options;
        int[] ports = FreePorts(9);
        (_switchPort, _firstListen, _secondListen, _firstStatus, _secondStatus, HttpPort, EchoPort, _extraPort, _clockPort) = (ports[0], ports[1], ports[2], ports[3], ports[4], ports[5], ports[6], ports[7], ports[8]);
        PrimaryNetPort = _switchPort;
        StartSwitch();
    }

    /// <summary>Host ports that reach the guest's ports 80, 7, 9 and 37.</summary>
    public int HttpPort { get; }

    public int EchoPort { get; }

    public int ExtraPort => _extraPort;

    public int ClockPort => _clockPort;

    public int SwitchPort => _switchPort;

    /// <summary>Where the first side finds its network; a tap between it and the switch changes this.</summary>
    public int PrimaryNetPort { get; set; }

    /// <summary>COM1 of whichever side is live; null: nowhere.</summary>
    public int? SerialPort { get; set; }

    /// <summary>The core of the first side; null: what this process has. All others have what this process has.</summary>
    public int? LiveCore { get; init; }

    /// <summary>A disk of its own for each machine, made of the Linux guest's disk.img, and an initrd with programs that use it.</summary>
    public bool HasWorkloads { get; init; }

    public string CountPath => _options.Guest == SoakGuest.Linux ? "/cgi-bin/count" : "/count";

    public string[] GuestArguments => _options.Guest == SoakGuest.Embedded
        ? []
        : ["--kernel", Path.Combine(_options.GuestDirectory, "vmlinuz"), "--initrd", Initrd, "--append", $"console=ttyS0,115200 quiet{(HasWorkloads ? " emu86.disk=on" : "")}"];

    public Side StartPrimary(params string[] more) => Start("primary", ["--primary", "--backups", At(_secondListen), .. Common(PrimaryNetPort, _firstStatus), .. GuestArguments, .. Disk("first"), .. more], LiveCore);

    /// <summary>The second side as a primary of its own.</summary>
    public Side StartSecondAsPrimary(params string[] more) => Start("second as primary", ["--primary", "--backups", At(_firstListen), .. Common(_switchPort, _secondStatus), .. GuestArguments, .. more]);

    public Side StartBackup(params string[] more) => Start("backup", ["--backup", "--listen", At(_secondListen), "--backups", At(_firstListen), .. Common(_switchPort, _secondStatus), .. Disk("second"), .. more]);

    /// <summary>The first side as a backup.</summary>
    public Side StartFirstAsBackup(params string[] more) => Start("first as backup", ["--backup", "--listen", At(_firstListen), "--backups", At(_secondListen), .. Common(_switchPort, _firstStatus), .. more]);

    /// <summary>Another machine that has nothing to do with this pair, on a network of its own.</summary>
    /// <param name="serialPort">Where its COM1 is.</param>
    /// <param name="extraPort">Host port for its port 9.</param>
    public Side StartIndependent(int serialPort, int extraPort) => Start("independent machine", ["--net", $"user,hostfwd=tcp:{At(extraPort)}-:9", "--serial", $"tcp:{At(serialPort)}", .. GuestArguments, .. Disk("independent")]);

    /// <summary>A number of the first side's /status.</summary>
    public double StatusOfFirst(string field) => Status(_firstStatus, field);

    /// <summary>A number of the second side's /status.</summary>
    public double StatusOfSecond(string field) => Status(_secondStatus, field);

    /// <summary>Ports on loopback that were free a moment ago, below those that outgoing connections get.</summary>
    public static int[] FreePorts(int count)
    {
        var ports = new HashSet<int>();
        while (ports.Count < count)
        {
            int port = Random.Shared.Next(15_000, 32_000);
            try
            {
                using var tcp = new TcpListener(IPAddress.Loopback, port);
                tcp.Start();
                using var udp = new UdpClient(new IPEndPoint(IPAddress.Loopback, port));
                ports.Add(port);
            }
            catch (SocketException)
            {
                // Taken.
            }
        }
        return [.. ports];
    }

    public void Dispose()
    {
        foreach (Side side in _sides) side.Dispose();
        _http.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private string Initrd => HasWorkloads ? _options.WorkloadsInitrd : Path.Combine(_options.GuestDirectory, "initrd.gz");

    private string[] Disk(string whose)
    {
        if (!HasWorkloads) return [];
        string image = Path.Combine(_state, $"{whose}.img");
        if (!File.Exists(image)) File.Copy(Path.Combine(_options.GuestDirectory, "disk.img"), image);
        return ["--hda", image, .. whose == "second" ? ["--overwrite-disk"] : Array.Empty<string>()];
    }

    private string Serial => SerialPort is { } port ? $"tcp:{At(port)}" : "null";

    private static string At(int port) => $"127.0.0.1:{port}";

    private string[] Common(int net, int status) => ["--net", $"stream,addr={At(net)}", "--serial", Serial, "--status", At(status), "--state-dir", _state];

    private void StartSwitch()
    {
        Side side = Start("switch", ["--switch", At(_switchPort), "--hostfwd", $"tcp:{At(HttpPort)}-:80", "--hostfwd", $"tcp:{At(EchoPort)}-:7", "--hostfwd", $"tcp:{At(_extraPort)}-:9", "--hostfwd", $"tcp:{At(_clockPort)}-:37"]);
        side.WaitFor("emu86: ", TimeSpan.FromSeconds(30));
        if (side.HasExited) throw new SoakException(side.Last());
    }

    private Side Start(string name, string[] arguments, int? core = null)
    {
        Side side = Side.Start(name, _options, arguments, core);
        _sides.Add(side);
        return side;
    }

    private double Status(int port, string field)
    {
        using HttpResponseMessage response = _http.Send(new HttpRequestMessage(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/status")));
        using JsonDocument json = JsonDocument.Parse(response.Content.ReadAsStream());
        JsonElement value = json.RootElement.GetProperty(field);
        return value.ValueKind == JsonValueKind.True ? 1 : value.ValueKind == JsonValueKind.False ? 0 : value.GetDouble();
    }
}
