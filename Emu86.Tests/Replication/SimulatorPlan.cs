// What a seed chooses besides the faults: the protocol's numbers, the guest's habits, how often inputs come.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

/// <summary>The circumstances of a run.</summary>
internal readonly record struct SimulatorPlan(ProtocolOptions Options, SimulatorHabits Habits, ulong PowersOffAt, int InputOneIn, bool InputBursts)
{
    /// <summary>The product's times divided by about ten: a run is a quarter of a second.</summary>
    public static readonly ProtocolOptions Usual = new()
    {
        HeartbeatUs = 5_000,
        FailureTimeoutUs = 20_000,
        LeaseUs = 13_000,
        FrontierUs = 1_000,
        MaxLagUs = 8_000,
        ReconnectTimeoutUs = 60_000,
        ConnectRetryUs = 6_000,
        ArbiterRetryUs = 3_000,
        HashEveryNs = 5_000,
        LogBytesMax = 8_192,
        OutputBytesMax = 8_192,
    };

    public static SimulatorPlan Draw(ref SimulatorChance chance)
    {
        ProtocolOptions options = chance.OneIn(4) ? Usual : DrawOptions(ref chance);
        SimulatorHabits habits = (SimulatorHabits)chance.Between(0, (long)SimulatorHabits.PowersOff);
        ulong powersOffAt = ulong.MaxValue;
        if (chance.OneIn(12))
        {
            habits |= SimulatorHabits.PowersOff;
            powersOffAt = (ulong)chance.Between(500, 3_000);
        }
        return new(options, habits, powersOffAt, chance.OneIn(3) ? 40 : 3, chance.OneIn(3));
    }

    private static ProtocolOptions DrawOptions(ref SimulatorChance chance)
    {
        long failureUs = chance.Between(12_000, 40_000);
        long heartbeatUs = failureUs / chance.Between(3, 9);
        long frontierUs = chance.Between(500, 2_500);
        long maxLagUs = chance.Between(8_000, 24_000);
        return new()
        {
            HeartbeatUs = heartbeatUs,
            FailureTimeoutUs = failureUs,
            LeaseUs = chance.Between(2 * heartbeatUs, failureUs),
            FrontierUs = frontierUs,
            QuietInstructions = chance.OneIn(2) ? 0 : 1ul << (int)chance.Between(2, 12),
            QuietFrontierUs = chance.Between(frontierUs, maxLagUs * 2 / 5),
            MaxLagUs = maxLagUs,
            ReconnectTimeoutUs = chance.Between(2 * failureUs, 100_000),
            ConnectRetryUs = chance.Between(2_000, 8_000),
            ArbiterRetryUs = chance.Between(1_000, 6_000),
            HashEveryNs = (ulong)chance.Between(640, 20_000),
            LogBytesMax = chance.Between(3_000, 60_000),
            OutputBytesMax = chance.Between(3_000, 30_000),
        };
    }
}
