// A run without a partner on disks that belong to a protected guest: it wins an epoch first, like every other start, so that the
// other copies are known to be behind (docs/ft-protocol.md, "Disks").
using System.Net;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;
using Emu86.Ft.Run.Pair;

namespace Emu86.Ft.Run;

/// <summary>The guest's owner at its arbiter for as long as the run lasts.</summary>
internal sealed class SoleOwner : IDisposable
{
    private const int TriesMax = 5;
    private const long AnswerUs = 1_000_000;

    /// <summary>The loop turns at least every second; after a longer gap this process may have been frozen while another went live.</summary>
    private const long GapUs = 3_000_000;

    private readonly RunOptions _options;
    private readonly Report _report;
    private readonly IArbiter _arbiter;
    private readonly string _address;
    private readonly TlsIdentity? _tls;
    private readonly OwnerListener _listener;
    private readonly DiskSideFile?[] _sides;
    private readonly Guid _self = Guid.NewGuid();
    private ArbiterValue _value;
    private long _turnUs = HostClock.NowUs;

    private SoleOwner(RunOptions options, Report report, DiskSideFile?[] sides)
    {
        DiskSideFile known = sides.First(s => s is not null)!;
        (_options, _report, _sides) = (options, report, sides);
        Guest = options.Name == new RunOptions().Name ? known.Guest ?? options.Name : options.Name;
        _address = Arbiters.AddressOf(options, known.Arbiter);
        _tls = TlsIdentity.Of(options);
        _arbiter = Arbiters.Open(_address, Guest, _tls, wait: null);
        _listener = new OwnerListener(_self, OwnHost, _tls, report.Say, () => HostClock.NowUs - Volatile.Read(ref _turnUs) < 2 * GapUs);
        _value = new ArbiterValue(0, _self, _listener.Address, GuestState.Live, [], DiskCopies.Names(options));
    }

    public string Guest { get; }

    // Beyond this host it can be asked with TLS only, and where --listen says that it is reached.
    private string OwnHost
    {
        get
        {
            if (_tls is null || IPAddress.IsLoopback(Addresses.Resolve(_options.Listen, "--listen", hasTls: true).Address)) return "127.0.0.1";
            _tls.RequireName(_options.Listen.Host);
            return _options.Listen.Host;
        }
    }

    public ulong Epoch => _value.Epoch;

    /// <summary>Set when the epoch turned out to belong to another: the run must end with exit code 3.</summary>
    public bool IsLost { get; private set; }

    /// <summary>Wins an epoch if a disk that will be written belongs to a protected guest; null when none does. The images are open.</summary>
    /// <exception cref="HostException">A copy is not current, or the guest is live elsewhere (exit code 3).</exception>
    public static SoleOwner? Claim(RunOptions options, Report report)
    {
        DiskSideFile?[] sides = [.. options.Disks.Select(d => d is { IsWritableFile: true } ? Read(d.Path) : null)];
        if (sides.All(s => s is null)) return null;
        var owner = new SoleOwner(options, report, sides);
        try
        {
            owner.Win();
            return owner;
        }
        catch
        {
            owner.Dispose();
            throw;
        }
    }

    /// <summary>To be called between slices.</summary>
    /// <param name="stop">Called when the run must end.</param>
    public void Turn(Action stop)
    {
        long now = HostClock.NowUs, gap = now - _turnUs;
        Volatile.Write(ref _turnUs, now);
        if (gap < GapUs || IsLost) return;
        ArbiterValue? current = Answer(new(0, ArbiterRequestKind.Read, 0, null)).Current;
        if (current is null || (current.Epoch == Epoch && current.Owner == _self)) return;
        IsLost = true;
        _report.Say($"halted, epoch {current.Epoch} belongs to another");
        stop();
    }

    /// <summary>The guest ended in good order, and the disks are flushed.</summary>
    public void End()
    {
        if (IsLost) return;
        ArbiterAnswer answer = Answer(new(0, ArbiterRequestKind.Update, Epoch, _value with { State = GuestState.Off }));
        if (answer.Verdict == ArbiterVerdict.Unavailable) _report.Say($"the guest's end could not be recorded: {_arbiter.Problem}");
    }

    public void Dispose()
    {
        _listener.Dispose();
        (_arbiter as IDisposable)?.Dispose();
    }

    private static DiskSideFile? Read(string image)
    {
        try
        {
            return DiskSideFile.Read(image);
        }
        catch (InvalidDataException e)
        {
            throw new HostException(e.Message);
        }
    }

    private void Win()
    {
        for (int n = 0; n < TriesMax; n++)
        {
            ArbiterValue? current = Ask(new(0, ArbiterRequestKind.Read, 0, null)).Current;
            if (current is { State: GuestState.Live } && OwnerListener.MayLive(OwnerListener.Ask(current.OwnerAddress, current.Owner, AnswerUs, _tls)))
            {
                throw new HostException($"the guest '{Guest}', to which the disk belongs, is already live at {current.OwnerAddress} in epoch {current.Epoch}", ExitCode.HaltedByOther);
            }
            for (int d = 0; d < _sides.Length; d++)
            {
                if (_options.Disks[d] is { ReadOnly: false } disk
                    && DiskSideFile.RefuseStart(disk.Path, _sides[d], current?.CurrentDisks ?? [], _options.ForceStaleDisk) is { } refusal) throw new HostException(refusal);
            }
            ulong epoch = current?.Epoch ?? 0;
            ArbiterValue wanted = _value with { Epoch = epoch + 1 };
            if (Ask(new(0, ArbiterRequestKind.Start, epoch, wanted)).Verdict != ArbiterVerdict.Done) continue;
            _value = wanted;
            for (int d = 0; d < _sides.Length; d++) MarkCurrent(d);
            return;
        }
        throw new HostException($"others win the epochs of the guest '{Guest}' all the time; it seems to be started in several places");
    }

    private ArbiterAnswer Answer(ArbiterRequest request) => _arbiter.AskAsync(request, CancellationToken.None).GetAwaiter().GetResult();

    private ArbiterAnswer Ask(ArbiterRequest request)
    {
        ArbiterAnswer answer = Answer(request);
        return answer.Verdict != ArbiterVerdict.Unavailable ? answer : throw new HostException(_arbiter.Problem ?? "the arbiter cannot be reached");
    }

    // A disk beside one that belongs to the guest belongs to it from now on: the arbiter's set names it.
    private void MarkCurrent(int drive)
    {
        if (_options.Disks[drive] is not { IsWritableFile: true } disk) return;
        var side = new DiskSideFile(_sides[drive]?.DiskId ?? Guid.NewGuid(), DiskCopies.Name(disk.Path), Epoch, DiskCopyState.Current) { Guest = Guest, Arbiter = _address };
        try
        {
            side.Write(disk.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException($"{DiskSideFile.PathOf(disk.Path)} cannot be written: {e.Message}");
        }
    }
}
