// The processes of the demo: a switch, a primary, a backup, on ports and in a directory of their own.
using Emu86.Ft.Cli;

namespace Emu86.Ft.Demo;

/// <summary>Starts them and, however the demo ends, ends them.</summary>
internal sealed class Stage : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("emu86-demo-").FullName;
    private readonly List<ChildProcess> _children = [];
    private readonly RunOptions _options;
    private readonly Action<string, string> _said;
    private readonly Lock _lock = new();
    private readonly int _switchPort, _listenPort, _primaryStatus, _backupStatus;
    private bool _ended;

    /// <param name="options">Timing and size options that are handed on to the sides.</param>
    /// <param name="said">Told who said what on stderr, on any thread.</param>
    public Stage(RunOptions options, Action<string, string> said)
    {
        _options = options;
        _said = said;
        int[] ports = FreePorts.Take(6);
        (_switchPort, _listenPort, _primaryStatus, _backupStatus, HttpPort, EchoPort) = (ports[0], ports[1], ports[2], ports[3], ports[4], ports[5]);
        PrimaryWatch = new SideWatch(_primaryStatus);
        BackupWatch = new SideWatch(_backupStatus);
        AppDomain.CurrentDomain.ProcessExit += End;
    }

    /// <summary>Host ports that reach the guest's ports 80 and 7.</summary>
    public int HttpPort { get; }

    public int EchoPort { get; }

    public ChildProcess? Switch { get; private set; }

    public ChildProcess? Primary { get; private set; }

    public ChildProcess? Backup { get; private set; }

    public SideWatch PrimaryWatch { get; }

    public SideWatch BackupWatch { get; }

    public void StartSwitch() =>
        Switch = Start("switch", ["--switch", At(_switchPort), "--hostfwd", $"tcp:{At(HttpPort)}-:80", "--hostfwd", $"tcp:{At(EchoPort)}-:7"]);

    /// <summary>Whether the switch takes connections: it says so.</summary>
    public bool SwitchIsUp() => Switch is { LastWords.Length: > 0 };

    // Once it is live it looks for a backup itself. Its own address is the one candidate that is certainly none of anybody
    // else's processes, and a side leaves itself out.
    public void StartBackup() =>
        Backup = Start("backup", ["--backup", "--listen", At(_listenPort), "--backups", At(_listenPort), .. Side(_backupStatus)]);

    public void StartPrimary() =>
        Primary = Start("primary", ["--primary", "--backups", At(_listenPort), .. Side(_primaryStatus), .. Machine()]);

    private static string At(int port) => $"127.0.0.1:{port}";

    private string[] Side(int status) =>
    [
        "--net", $"stream,addr={At(_switchPort)}", "--serial", "null", "--status", At(status), "--state-dir", _directory,
        "--heartbeat", $"{_options.HeartbeatMs}", "--failure-timeout", $"{_options.FailureTimeoutMs}",
        "--max-lag", $"{_options.MaxLagMs}", "--hash-every", $"{_options.HashEveryMs}",
    ];

    // A backup gets these from its primary.
    private string[] Machine() => ["--memory", $"{_options.MemoryBytes >> 10}K", "--cpu", _options.Cpu];

    private ChildProcess Start(string name, string[] arguments)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_ended, this);
            ChildProcess child = ChildProcess.Start(name, arguments, _said);
            _children.Add(child);
            return child;
        }
    }

    private void End(object? sender, EventArgs e)
    {
        lock (_lock)
        {
            _ended = true;
            foreach (ChildProcess child in _children) child.Kill();
        }
    }

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= End;
        End(null, EventArgs.Empty);
        foreach (ChildProcess child in _children) child.Dispose();
        PrimaryWatch.Dispose();
        BackupWatch.Dispose();
        try
        {
            Directory.Delete(_directory, recursive: true);
        }
        catch (IOException)
        {
            // A temporary directory that stays is no reason to fail.
        }
    }
}
