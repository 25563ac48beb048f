// One outstanding question to the arbiter, asked again until it is answered (both cores have one).
namespace Emu86.Ft.Replication;

/// <summary>Keeps the latest question. An answer to an earlier one is ignored; Unavailable means asking again later, with
/// the same meaning: a claim that was won and whose answer was lost is won again (ArbiterRules).</summary>
public sealed class ArbiterAsker(long retryUs, List<CoreAction> actions)
{
    private ulong _lastId;
    private long _retryAtUs = long.MaxValue;

    /// <summary>What is being asked; null when nothing is.</summary>
    public ArbiterRequest? Pending { get; private set; }

    /// <summary>How often the pending question has been asked again.</summary>
    public int Retries { get; private set; }

    /// <summary>Asks; replaces what was being asked.</summary>
    public void Ask(ArbiterRequestKind kind, ulong expectedEpoch, ArbiterValue? wanted)
    {
        Pending = new(0, kind, expectedEpoch, wanted);
        Retries = 0;
        Repeat();
    }

    /// <summary>Asks the pending question anew, so that only an answer from now on counts.</summary>
    public void Repeat()
    {
        if (Pending is null) return;
        Pending = Pending with { Id = ++_lastId };
        _retryAtUs = long.MaxValue;
        actions.Add(new(ActionKind.AskArbiter) { Request = Pending });
    }

    public void Cancel() => Pending = null;

    public void Tick(long nowUs)
    {
        if (Pending is null || nowUs < _retryAtUs) return;
        Retries++;
        Repeat();
    }

    /// <summary>Takes an answer. Returns the question when it is settled, null when it is not the latest or not known yet.</summary>
    public ArbiterRequest? Settle(long nowUs, in ArbiterAnswer answer)
    {
        if (Pending is null || answer.RequestId != Pending.Id) return null;
        if (answer.Verdict == ArbiterVerdict.Unavailable)
        {
            _retryAtUs = nowUs + retryUs;
            return null;
        }
        ArbiterRequest settled = Pending;
        Pending = null;
        return settled;
    }
}
