// A live machine with inputs from outside, and another that replays its log: the same states and outputs.
using Emu86.Devices;
using FsCheck.Xunit;

namespace Emu86.Tests.Determinism;

public sealed class InputReplayTests
{
    private const ulong WarmCount = 20_000;

    [Property(MaxTest = 15)]
    public void A_replayed_log_gives_the_same_states_and_outputs((byte Kind, ushort Run, ushort Value)[] plan)
    {
        using ChaosWorld live = new(), replayed = new();
        // A stop while halted (Idle) is where wall time decides on the live side: positions with the same count and other times.
        List<(Position At, InputEvent? Input, UInt128 Hash)> log = [];
        live.RunTo(WarmCount);
        foreach ((byte kind, ushort run, ushort value) in plan)
        {
            live.Machine.RunUntil(new Position(live.Position.Count + run, 0), live.Position.VirtualTimeNs + value * 10u);
            InputEvent? input = InputOf(kind, value);
            if (input is not null) live.Machine.Inject(input);
            log.Add((live.Position, input, input is null || kind % 16 == 0 ? live.Machine.StateHash() : 0));
        }
        live.Machine.RunUntil(new Position(live.Position.Count + 20_000, 0));
        log.Add((live.Position, null, live.Machine.StateHash()));

        int n = 0;
        foreach ((Position at, InputEvent? input, UInt128 hash) in log)
        {
            // Other slices, and now and then another machine.
            while (at.Count - replayed.Position.Count > 5_000) replayed.RunTo(replayed.Position.Count + 4_321);
            replayed.RunTo(at);
            if (n++ % 7 == 3) replayed.Move();
            if (input is not null) replayed.Machine.Inject(input);
            if (hash != 0) Assert.True(replayed.Machine.StateHash() == hash, $"at {at} after {input}: the replay differs");
        }
        replayed.AssertEqualTo(live);
    }

    private static InputEvent? InputOf(byte kind, ushort value)
    {
        switch (kind % 9)
        {
            case 0: return InputEvent.NetFrame(0, Frame(value));
            case 1: return InputEvent.SerialBytes(0, new byte[] { (byte)value, (byte)(value >> 8) });
            case 2: return InputEvent.Key(new byte[] { (byte)(value & 0x7f) });
            case 3: return InputEvent.RateChange(((ulong)value + 1) << 18);
            case 4: return InputEvent.Mouse((sbyte)value, (sbyte)(value >> 8), 0, (byte)(value & 7));
            case 5: return InputEvent.LinkChange(0, (value & 1) != 0);
            case 6 when value % 8 == 0: return InputEvent.Reset();
            case 7: return InputEvent.PowerButton();
            default: return null;
        }
    }

    private static byte[] Frame(ushort value)
    {
        byte[] frame = new byte[60 + value % 1400];
        frame.AsSpan(0, 6).Fill(0xff);
        for (int n = 6; n < frame.Length; n++) frame[n] = (byte)(n * value >> 3);
        return frame;
    }
}
