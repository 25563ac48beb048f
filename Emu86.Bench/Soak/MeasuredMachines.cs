// One live process in three settings: protected, unprotected beside an independent machine, unprotected alone. Its backup is killed and
// started anew: how fast a process runs depends on where its memory happens to lie (15 % here), so two processes cannot be compared.
using System.Diagnostics;

namespace Emu86.Bench.Soak;

internal enum Setting
{
    /// <summary>Primary and backup.</summary>
    Protected,

    /// <summary>Unprotected while another, independent machine does the same job on the other core: what sharing the host costs.</summary>
    Beside,

    /// <summary>Unprotected, and the other core idle.</summary>
    Alone,
}

internal static class SettingNames
{
    public static string Name(this Setting setting) => setting switch { Setting.Alone => "alone", Setting.Beside => "beside another", _ => "protected" };
}

/// <summary>Primary, backup and the independent machine, booted.</summary>
internal sealed class MeasuredMachines : IDisposable
{
    /// <summary>Each job is done so often in a setting; the shortest of them counts.</summary>
    private const int Repeats = 3;

    private const int WarmUps = 8;

    private static readonly TimeSpan ToProtect = TimeSpan.FromSeconds(180);

    private readonly GuestShell _shell = new(), _otherShell = new();
    private readonly SoakPair _pair;
    private readonly Side _live;
    private readonly int _otherPort = SoakPair.FreePorts(1)[0];
    private readonly GuestJob _warmUp;
    private Side? _backup;
    private Setting _setting = Setting.Protected;

    public MeasuredMachines(SoakOptions options, bool pinned, IReadOnlyList<GuestJob> jobs, bool hasWorkloads = false)
    {
        _warmUp = jobs[0];
        _pair = new SoakPair(options) { SerialPort = _shell.Port, LiveCore = pinned ? Cores.Live : null, HasWorkloads = hasWorkloads };
        _backup = _pair.StartBackup();
        _live = _pair.StartPrimary();
        _live.WaitFor("protected by", ToProtect);
        _pair.StartIndependent(_otherShell.Port, _otherPort);
        foreach (GuestShell shell in new[] { _shell, _otherShell }) shell.WaitUntilReady();
        // The compiler's work is done before anything is measured.
        foreach (GuestJob job in jobs) job.Run(_shell, _pair.ExtraPort);
    }

    public void Set(Setting setting)
    {
        _setting = setting;
        bool isProtected = setting == Setting.Protected, isNew = isProtected && _backup is null;
        if (!isProtected) _backup?.Signal(Side.SigKill);
        if (isNew) _backup = _pair.StartBackup();
        if (!isProtected) _backup = null;
        for (var began = Stopwatch.StartNew(); _pair.StatusOfFirst("protected") != 0 != isProtected; Thread.Sleep(100))
        {
            if (began.Elapsed > ToProtect) throw new SoakException($"the live side should be {(isProtected ? "protected" : "unprotected")} within {ToProtect.TotalSeconds:F0} s; {_live.Last()}");
        }
        // Until its compilers are done a new backup is slower than the live side, which waits for it.
        for (int n = 0; isNew && n < WarmUps; n++) _warmUp.Run(_shell, _pair.ExtraPort);
        Rest(TimeSpan.FromSeconds(3));
    }

    public TimeSpan Rest(TimeSpan time)
    {
        Thread.Sleep(time);
        return time;
    }

    public Cost Do(GuestJob job)
    {
        using var other = new Neighbour(job, _setting == Setting.Beside ? _otherShell : null, _otherPort);
        return Enumerable.Range(0, Repeats).Select(_ => Watch(() => job.Run(_shell, _pair.ExtraPort))).MinBy(c => c.Seconds);
    }

    /// <summary>What something costs the live side. Nothing is asked of it meanwhile.</summary>
    public Cost Watch(Func<TimeSpan> something) => Cost.Of(_pair, _live, _setting == Setting.Protected, something);

    public void Dispose()
    {
        _pair.Dispose();
        _shell.Dispose();
        _otherShell.Dispose();
    }
}

/// <summary>The independent machine: does the job over and over until disposed.</summary>
file sealed class Neighbour : IDisposable
{
    private readonly Thread? _thread;
    private volatile bool _done;
    private Exception? _failed;

    public Neighbour(GuestJob job, GuestShell? shell, int port)
    {
        if (shell is null) return;
        _thread = new Thread(() =>
        {
            try
            {
                while (!_done) job.Run(shell, port);
            }
            catch (SoakException e)
            {
                _failed = e;
            }
        });
        _thread.Start();
    }

    public void Dispose()
    {
        _done = true;
        _thread?.Join();
        if (_failed is not null) Console.WriteLine($"bench: the independent machine did not do its job: {_failed.Message}");
    }
}
