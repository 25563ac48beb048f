// No access of a guest breaks a device, and a device that was restored in the middle goes on like the original.
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Devices.Ide;
using Emu86.Devices.Net;
using Emu86.Devices.Video;

namespace Emu86.Tests.Devices;

public sealed class GuestAbuseTests
{
    private const int Steps = 4000;

    /// <summary>A device with everything that its future depends on.</summary>
    private sealed record Subject(DeviceRig Rig, IStateful[] Units, Func<Random, ulong> Act, Func<byte[]> Outside, Action<byte[]> SetOutside);

    private static Subject Ide()
    {
        var rig = new DeviceRig();
        var memory = new FakeMemory(0x40000);
        var store = new FakeStore(300);
        var irq = new IrqProbe();
        var drive = new AtaDrive(0, store, new("DISK", "1", "1"), rig.Clock, rig.Events, null);
        var ide = new PiixIde(memory, irq.Line, irq.Line, [drive, null, null, null]);
        byte[] commands = [0x20, 0x24, 0x30, 0x34, 0xc4, 0x29, 0xc5, 0x39, 0xc8, 0x25, 0xca, 0x35, 0x40, 0xe7, 0xec, 0xef, 0xc6, 0x91, 0x10, 0x70, 0x90, 0xe5];
        ulong Act(Random random)
        {
            switch (random.Next(12))
            {
                case 0 or 1:
                    ide.Primary.WritePort(7, 1, random.Next(8) == 0 ? (uint)random.Next(256) : commands[random.Next(commands.Length)]);
                    return 0;
                case 2 or 3:
                    ide.Primary.WritePort(random.Next(1, 6), 1, (uint)random.Next(random.Next(2) == 0 ? 4 : 256));
                    return 0;
                case 4:
                    ide.Primary.WritePort(6, 1, (uint)(0xa0 | random.Next(0x60)));
                    return 0;
                case 5:
                    if (random.Next(6) == 0) ide.Primary.ControlPort.WritePort(0, 1, (uint)random.Next(256) & 0x86);
                    ide.Primary.ControlPort.WritePort(0, 1, 0);
                    return 0;
                case 6:
                    ide.WritePort(random.Next(5), 1, (uint)random.Next(256));
                    ide.WritePort(4, 4, (uint)random.Next(0x41000));
                    return 0;
                case 7:
                    uint at = (uint)random.Next(0x40000);
                    memory.Write(at & ~7u, BitConverter.GetBytes(((ulong)(uint)random.Next() << 32) | (uint)random.Next(0x40000)));
                    ide.WritePort(4, 4, at);
                    ide.WritePort(0, 1, (uint)random.Next(16));
                    return 0;
                case 8 or 9:
                    int words = random.Next(600);
                    uint sum = 0;
                    for (int i = 0; i < words; i++)
                    {
                        if ((i & 1) == 0) sum += ide.Primary.ReadPort(0, 2);
                        else ide.Primary.WritePort(0, 2, (uint)i);
                    }
                    return sum;
                case 10: return ide.Primary.ReadPort(random.Next(1, 8), 1) | (ide.ReadPort(random.Next(4) * 2, 1) << 8);
                default:
                    rig.Advance((ulong)random.Next(200_000));
                    return irq.Level ? 1u : 0u;
            }
        }
        return new(rig, [.. ide.Units], Act, () => [.. memory.Bytes, .. store.Bytes], bytes =>
        {
            bytes.AsSpan(0, memory.Bytes.Length).CopyTo(memory.Bytes);
            bytes.AsSpan(memory.Bytes.Length).CopyTo(store.Bytes);
        });
    }

    private static Subject Network()
    {
        var rig = new DeviceRig();
        var wire = new FrameLog();
        byte[] address = [2, 0, 0, 0, 0, 1];
        var card = new Rtl8029("net0", address, rig.Clock, rig.Events, wire);
        ulong Act(Random random)
        {
            switch (random.Next(8))
            {
                case 0 or 1:
                    card.WritePort(random.Next(32), 1 << random.Next(3), (uint)random.Next());
                    return 0;
                case 2:
                    card.WritePort(0, 1, (uint)(random.Next(4) << 6 | random.Next(1, 5) << 3 | random.Next(2) << 2 | 2));
                    return 0;
                case 3:
                    foreach ((int port, int value) in new[] { (0, 0x62), (7, 0x47), (0, 0x22), (1, 0x46), (2, random.Next(0x48, 0xc0)), (0xd, 0), (0xc, 0x1c) })
                    {
                        card.WritePort(port, 1, (uint)value);
                    }
                    return 0;
                case 4:
                    byte[] frame = new byte[random.Next(1600)];
                    random.NextBytes(frame);
                    if (frame.Length >= 6 && random.Next(2) == 0) address.CopyTo(frame, 0);
                    return card.Controller.Receive(frame) ? 1u : 0u;
                case 5:
                    uint sum = 0;
                    int size = 1 << random.Next(3);
                    for (int i = random.Next(100); i > 0; i--) sum += card.ReadPort(0x10, size);
                    return sum;
                case 6: return card.ReadPort(random.Next(0x1f), 1);
                default:
                    rig.Advance((ulong)random.Next(2_000_000));
                    return (ulong)wire.Frames.Sum(f => f.Length);
            }
        }
        return new(rig, [card.Function, card.Controller, card], Act, () => [.. BitConverter.GetBytes(wire.Frames.Sum(f => f.Length))], bytes =>
            wire.Frames.Add(new byte[BitConverter.ToInt32(bytes)]));
    }

    private static Subject Display()
    {
        var rig = new DeviceRig();
        var vga = new Vga(rig.Clock);
        vga.SetTextMode();
        ulong Act(Random random)
        {
            switch (random.Next(6))
            {
                case 0 or 1:
                    vga.WritePort(random.Next(48), 1, (uint)random.Next(256));
                    return 0;
                case 2: return vga.ReadPort(random.Next(48), 1);
                case 3:
                    int size = 1 << random.Next(3);
                    vga.Write((uint)random.Next(0x1ffff / size) * (uint)size, size, (uint)random.Next());
                    return 0;
                case 4: return vga.Read((uint)random.Next(0x1ffff), 1);
                default:
                    rig.Advance((ulong)random.Next(100_000));
                    TextScreen screen = vga.Capture();
                    return screen.Cells.Aggregate(screen.Palette.Aggregate(0ul, (sum, c) => sum * 31 + c), (sum, cell) => sum * 31 + cell);
            }
        }
        return new(rig, [vga], Act, () => [], _ => { });
    }

    public static TheoryData<string, int> Cases
    {
        get
        {
            var cases = new TheoryData<string, int>();
            foreach (string device in new[] { "ide", "network", "display" })
            {
                for (int seed = 1; seed <= 4; seed++) cases.Add(device, seed);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_restored_device_goes_on_like_the_original(string device, int seed)
    {
        Func<Subject> build = device switch { "ide" => Ide, "network" => Network, _ => Display };
        Subject original = build();
        Subject restored = build();
        var random = new Random(seed);
        for (int i = 0; i < Steps; i++) original.Act(random);
        if (device != "display") Assert.NotEqual(restored.Outside(), original.Outside());      // it does something at all
        restored.SetOutside(original.Outside());
        restored.Rig.Follow(original.Rig);
        foreach ((IStateful from, IStateful to) in original.Units.Zip(restored.Units)) StateOf.Load(to, StateOf.Save(from));

        int next = random.Next();
        var first = new Random(next);
        var second = new Random(next);
        for (int i = 0; i < Steps; i++)
        {
            ulong expected = original.Act(first);
            ulong actual = restored.Act(second);
            // The probe's wire has no level before the first edge that it sees.
            if (device != "ide" || expected > 1) Assert.Equal(expected, actual);
        }
        Assert.Equal(original.Outside(), restored.Outside());
        foreach ((IStateful from, IStateful to) in original.Units.Zip(restored.Units)) Assert.Equal(StateOf.Save(from), StateOf.Save(to));
        Assert.Equal(StateOf.Save(original.Rig.Events), StateOf.Save(restored.Rig.Events));
    }
}
