// One parser under test: it takes any bytes, refuses what it must by its documented exception, within bounded memory and time.
using System.Collections.Concurrent;
using System.Diagnostics;

namespace Emu86.Tests.Fuzz;

/// <param name="Name">For messages and the script.</param>
/// <param name="Seeds">Inputs that it accepts.</param>
/// <param name="Parse">True: accepted. False: refused as documented. Any exception is a finding.</param>
internal sealed record FuzzTarget(string Name, Func<IReadOnlyList<byte[]>> Seeds, Func<byte[], bool> Parse)
{
    private const int HangSeconds = 120;

    private static readonly ConcurrentDictionary<int, (string Name, byte[] Input, long Since)> Running = [];

    // A loop without end in a parser cannot be left from outside: the run ends with the bytes that caused it.
    private static readonly Timer Watch = new(_ =>
    {
        foreach ((string name, byte[] input, long since) in Running.Values)
        {
            if (Stopwatch.GetElapsedTime(since).TotalSeconds > HangSeconds) Environment.FailFast($"the parser of {name} hangs with {Show(input)}");
        }
    }, null, 5_000, 5_000);

    private readonly Lazy<IReadOnlyList<byte[]>> _seeds = new(Seeds);

    public int LengthMax { get; init; } = 1 << 18;

    /// <summary>What one input may allocate, in bytes.</summary>
    public long AllocatedMax { get; init; } = 8 << 20;

    public override string ToString() => Name;

    /// <summary>Each seed must be accepted, or nothing behind the first check is tested.</summary>
    public void TrySeeds()
    {
        foreach (byte[] seed in _seeds.Value) Assert.True(Run(seed), $"{Name} does not accept its seed {Show(seed)}");
    }

    /// <summary>Tries one changed input.</summary>
    public void Try(int salt, IReadOnlyList<int> edits) => Run(Mutation.Apply(_seeds.Value, salt, edits, LengthMax));

    private static string Show(byte[] input) => $"{input.Length} bytes: {Convert.ToHexString(input.AsSpan(0, Math.Min(input.Length, 4096)))}";

    private bool Run(byte[] input)
    {
        GC.KeepAlive(Watch);
        long since = Stopwatch.GetTimestamp(), before = GC.GetAllocatedBytesForCurrentThread();
        Running[Environment.CurrentManagedThreadId] = (Name, input, since);
        bool accepted;
        try
        {
            accepted = Parse(input);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{Name}: {e.GetType().Name}: {e.Message}, with {Show(input)}", e);
        }
        finally
        {
            Running.TryRemove(Environment.CurrentManagedThreadId, out _);
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated <= AllocatedMax, $"{Name} allocated {allocated} bytes with {Show(input)}");
        return accepted;
    }
}
