// One primary and one backup core with a perfect world between them, driven step by step; all that they do becomes a transcript.
using System.Text;
using Emu86.Devices;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

internal sealed class ProtocolScenario
{
    private const int Connection = 1;

    private static readonly Guid PrimarySelf = new(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    private static readonly Guid BackupSelf = new(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    private readonly ProtocolOptions _options = new();
    private readonly StringBuilder _transcript = new();
    private readonly SimulatorArbiter _arbiter = new();
    private readonly Queue<(bool ToPrimary, Message Message)> _wire = new();
    private readonly Queue<(bool ToPrimary, Message Message)> _stalled = new();
    private readonly List<Output> _outputs = [];
    private readonly SimulatorGuest _guest = new();
    private SimulatorGuest? _replayed;
    private SimulatorGuest? _clone;
    private long _nowUs = 1_000_000;
    private bool _primaryIsUp = true;
    private bool _backupIsUp = true;
    private int _connection = Connection;

    public ProtocolScenario(ulong hashEveryNs = 1_000_000_000)
    {
        _options = _options with { HashEveryNs = hashEveryNs };
        Primary = new(_options, new()
        {
            Self = PrimarySelf,
            Machine = new("default", Guid.Empty, 1, "simulated", []),
            Candidates = 1,
            SessionSeed = 6,
        }, _nowUs);
        Backup = new(_options, new() { Self = BackupSelf, Name = "default", ArbiterIdentity = "simulated" }, _nowUs);
    }

    public long NowUs => _nowUs;

    public PrimaryCore Primary { get; }

    public BackupCore Backup { get; }

    /// <summary>False: nothing gets from one side to the other.</summary>
    public bool LinkIsUp { get; set; } = true;

    /// <summary>True: what the backup says is lost on the way.</summary>
    public bool AcknowledgementsAreLost { get; set; }

    /// <summary>True: the stream stands still, as when retransmissions back off, while heartbeats arrive.</summary>
    public bool StreamStalls
    {
        get;
        set
        {
            field = value;
            while (!value && _stalled.TryDequeue(out var late)) _wire.Enqueue(late);
        }
    }

    /// <summary>True: the arbiter does what it is asked, and nobody hears its answer.</summary>
    public bool ArbiterAnswersAreLost { get; set; }

    public bool ArbiterIsUp { get; set; } = true;

    public ArbiterValue? ArbiterValue => _arbiter.Value;

    public string Transcript => _transcript.ToString();

    /// <summary>Runs until the backup is armed, without a transcript of it.</summary>
    public ProtocolScenario Protected()
    {
        Wait(50);
        Run(8);
        Wait(20);
        _transcript.Clear();
        return this;
    }

    public void Note(string text) => _transcript.Append("-- ").Append(text).Append('\n');

    public void Wait(int milliseconds)
    {
        Settle();
        for (int i = 0; i < milliseconds; i += 5)
        {
            _nowUs += 5_000;
            if (_primaryIsUp) Primary.Tick(_nowUs);
            if (_backupIsUp) Backup.Tick(_nowUs);
            Settle();
        }
    }

    public void Run(ulong count)
    {
        _guest.RunFor(count * SimulatorGuest.NsPerInstruction, _outputs);
        foreach (Output output in _outputs) Primary.Produced(output);
        _outputs.Clear();
        _nowUs += 3_000;
        Primary.Ran(_nowUs, _guest.Position, false);
        Settle();
    }

    public void Input(ulong value)
    {
        Primary.Input(_nowUs, InputEvent.RateChange(value));
        Settle();
    }

    public void Crash()
    {
        Note("the primary crashes");
        _primaryIsUp = false;
        _wire.Clear();
        Backup.ConnectionClosed(_nowUs, _connection);
        Settle();
    }

    public void Break()
    {
        Note("the connection breaks");
        _wire.Clear();
        Primary.ConnectionClosed(_nowUs, _connection);
        Backup.ConnectionClosed(_nowUs, _connection);
        _connection++;
        Settle();
    }

    /// <summary>The backup's process ends; its host answers that nobody listens.</summary>
    public void CrashBackup()
    {
        Note("the backup crashes");
        _backupIsUp = false;
        _wire.Clear();
        Primary.ConnectionClosed(_nowUs, _connection);
        Settle();
    }

    /// <summary>Both processes stand still.</summary>
    public void Freeze(int milliseconds) => _nowUs += 1000 * milliseconds;

    public void DamageBackup() => _replayed!.Damage();

    public void PowerOff()
    {
        Note("the guest powers off");
        Primary.Produced(new(OutputKind.PowerOff, _guest.Position, 0, 0, default));
        Primary.Ran(_nowUs, _guest.Position, false);
        Settle();
    }

    public void StopPrimary()
    {
        Primary.Stop(_nowUs);
        Settle();
    }

    /// <summary>The primary takes another backup.</summary>
    public void Dismiss()
    {
        Backup.Received(_nowUs, _connection, new RefusedMessage("the guest moves to another host"));
        Settle();
    }

    private void Settle()
    {
        bool busy = true;
        while (busy)
        {
            busy = Take(true, Primary.Actions) | Take(false, Backup.Actions);
            if (!LinkIsUp) _wire.Clear();
            while (_wire.TryDequeue(out var sent))
            {
                busy = true;
                if ((sent.ToPrimary && AcknowledgementsAreLost) || (!sent.ToPrimary && !_backupIsUp)) continue;
                if (StreamStalls && sent.Message is not HeartbeatMessage)
                {
                    _stalled.Enqueue(sent);
                    continue;
                }
                if (!sent.ToPrimary && sent.Message is HeartbeatMessage down) Backup.HeartbeatReceived(_nowUs, down);
                else if (sent.Message is HeartbeatMessage up) Primary.HeartbeatReceived(_nowUs, up);
                else if (sent.ToPrimary) Primary.Received(_nowUs, _connection, sent.Message);
                else Backup.Received(_nowUs, _connection, sent.Message);
            }
        }
    }

    private bool Take(bool isPrimary, List<CoreAction> actions)
    {
        CoreAction[] taken = [.. actions];
        actions.Clear();
        if (isPrimary ? !_primaryIsUp : !_backupIsUp) return false;
        foreach (CoreAction action in taken)
        {
            if (action.Kind != ActionKind.SendHeartbeat) _transcript.Append(isPrimary ? "primary " : "backup  ").Append(action).Append('\n');
            if (isPrimary) OnPrimary(action);
            else OnBackup(action);
        }
        return taken.Length > 0;
    }

    private void OnPrimary(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.Connect when !_backupIsUp: Primary.ConnectFailed(_nowUs, action.Link, refused: true); break;
            case ActionKind.Connect when LinkIsUp: Primary.ConnectionOpened(_nowUs, action.Link, _connection); break;
            case ActionKind.Disconnect when _primaryIsUp && _backupIsUp: Backup.ConnectionClosed(_nowUs, action.Connection); break;
            case ActionKind.Send or ActionKind.SendHeartbeat: _wire.Enqueue((false, action.Message!)); break;
            case ActionKind.AskArbiter: Primary.ArbiterAnswered(_nowUs, Ask(action.Request!)); break;
            case ActionKind.Inject: _guest.Inject(action.Input!); break;
            case ActionKind.TakeStateHash: Primary.StateHash(_nowUs, _guest.StateHash); break;
            case ActionKind.BeginClone:
                _clone = _guest.Clone();
                Primary.SnapshotTaken(_nowUs);
                Primary.CloneStreamed(_nowUs, _guest.StateHash);
                break;
        }
    }

    private void OnBackup(in CoreAction action)
    {
        switch (action.Kind)
        {
            case ActionKind.Send or ActionKind.SendHeartbeat: _wire.Enqueue((true, action.Message!)); break;
            case ActionKind.AskArbiter: Backup.ArbiterAnswered(_nowUs, Ask(action.Request!)); break;
            case ActionKind.Inject: _replayed!.Inject(action.Input!); break;
            case ActionKind.TakeStateHash: Backup.StateHash(_nowUs, _replayed!.StateHash); break;
            case ActionKind.LoadClone:
                _replayed = _clone!.Clone();
                Backup.CloneLoaded(_nowUs, _replayed.StateHash, null);
                break;
            case ActionKind.RunTo:
                Assert.True(_replayed!.RunTo(action.Position, _outputs));
                foreach (Output output in _outputs) Backup.Produced(output);
                _outputs.Clear();
                Backup.Executed(_nowUs, _replayed.Position);
                break;
        }
    }

    private ArbiterAnswer Ask(ArbiterRequest request)
    {
        ArbiterAnswer answer = ArbiterIsUp ? _arbiter.Ask(request) : default;
        return ArbiterIsUp && !ArbiterAnswersAreLost ? answer : new(request.Id, ArbiterVerdict.Unavailable, null);
    }
}
