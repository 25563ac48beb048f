// All chips together under random port traffic: a machine restored from a snapshot goes on exactly as the one it was
// taken from, and no traffic whatever breaks an internal check.
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Devices.Input;
using Emu86.Devices.Serial;
using FsCheck.Xunit;

namespace Emu86.Tests.Chipset;

public sealed class ChipReplayTests
{
    [Property(MaxTest = 60)]
    public void A_restored_set_of_chips_goes_on_like_the_original(int seed)
    {
        var original = new Rig();
        original.Run(new Random(seed), 400);
        var restored = new Rig();
        restored.Take(original);
        Assert.Equal(original.Save(), restored.Save());
        Assert.Equal(original.Run(new Random(seed ^ 0x5eed), 400), restored.Run(new Random(seed ^ 0x5eed), 400));
        Assert.Equal(original.Save(), restored.Save());
    }

    private sealed class Rig : IBytePort, IDmaMemory, IMemoryMap
    {
        private readonly TestTime _time = new();
        private readonly PortBus _ports = new();
        private readonly IStateful[] _units;
        private readonly Pic8259 _pic = new();
        private readonly Dma8237 _dma;
        private readonly Uart16550 _uart;
        private readonly Ps2Keyboard _keyboard;
        private readonly Ps2Mouse _mouse;
        private readonly AcpiPm _pm;
        private readonly Piix3 _isa;
        private readonly int[] _used;
        private List<int> _seen = [];

        public Rig()
        {
            var pci = new PciBus(_ports, this);
            var host = new I440fx(64 << 20);
            _isa = new Piix3(_pic);
            var pit = new Pit8254(_time.Clock, _time.Events, new IrqLine(_pic, 0));
            var rtc = new RtcMc146818(_time.Clock, _time.Events, new IrqLine(_pic, 8), 1_700_000_000);
            var control = new SystemControl(pit, new IrqLine(_pic, 13));
            _dma = new Dma8237(this);
            _pm = new AcpiPm(_time.Clock, _time.Events, new IrqLine(_pic, 9));
            _keyboard = new Ps2Keyboard(_time.Clock, _time.Events);
            _mouse = new Ps2Mouse(_time.Clock, _time.Events);
            var i8042 = new I8042(
                _time.Clock, _time.Events, _keyboard, _mouse, new IrqLine(_pic, 1), new IrqLine(_pic, 12),
                () => control.A20, on => control.A20 = on);
            _uart = new Uart16550("com1", _time.Clock, _time.Events, new IrqLine(_pic, 4), this);
            pci.Attach(0, 0, host.Pci);
            pci.Attach(1, 0, _isa.Pci);
            pci.Attach(1, 3, _pm.Pci);
            (int First, int Count, IPortDevice Device, int Width)[] map =
            [
                (0x000, 16, _dma.ByteController, 1),
                (0x020,  2, _pic.MasterPorts,    1),
                (0x040,  4, pit,                 1),
                (0x060,  1, i8042.DataPort,      1),
                (0x061,  1, control.Port61,      1),
                (0x064,  1, i8042.CommandPort,   1),
                (0x070,  2, rtc,                 1),
                (0x080,  1, control.Port80,      1),
                (0x081, 15, _dma.PageRegisters,  1),
                (0x0a0,  2, _pic.SlavePorts,     1),
                (0x0b2,  2, _pm.ApmPorts,        1),
                (0x0c0, 32, _dma.WordController, 1),
                (0x0f0,  1, control.PortF0,      1),
                (0x3f8,  8, _uart,               1),
                (0x4d0,  2, _pic.EdgeLevelPorts, 1),
                (0xcf8,  8, pci,                 4),
            ];
            var used = new List<int> { 0x92 };
            _ports.Map(0x92, 1, control.Port92, "92");
            foreach ((int first, int count, IPortDevice device, int width) in map)
            {
                _ports.Map(first, count, device, $"{first:x}", width);
                for (int i = 0; i < count; i++) used.Add(first + i);
            }
            for (int i = 0; i < 16; i++) used.Add(0xb000 + i);
            _used = [.. used];
            _pm.Pci.WriteConfig(0x40, 4, 0xb000);
            _pm.Pci.WriteConfig(0x80, 1, 1);
            _units =
            [
                _time.Events, pci, host.Pci, _isa.Pci, _isa, _pm.Pci, _pm, _pic, pit, rtc, control, _dma,
                _keyboard, _mouse, i8042, _uart,
            ];
        }

        public List<int> Run(Random random, int steps)
        {
            _seen = [];
            for (int i = 0; i < steps; i++)
            {
                ushort port = (ushort)_used[random.Next(_used.Length)];
                int size = 1 << (port >= 0xcf8 ? random.Next(3) : 0);
                switch (random.Next(12))
                {
                    case 0 or 1 or 2 or 3: _ports.Write(port, size, (uint)random.NextInt64(1L << 32)); break;
                    case 4 or 5 or 6: _seen.Add((int)_ports.Read(port, size)); break;
                    case 7: _time.Advance((ulong)random.Next(3_000_000)); break;
                    case 8: _uart.Receive((byte)random.Next(256)); break;
                    case 9: _keyboard.InjectKey((byte)random.Next(256), random.Next(2) == 0); break;
                    case 10: _mouse.Inject(random.Next(-300, 300), random.Next(-300, 300), random.Next(-2, 3), (byte)random.Next(32)); break;
                    default: Poke(random); break;
                }
                if (_pic.Intr && random.Next(3) == 0) _seen.Add(_pic.Acknowledge());
            }
            return _seen;
        }

        public byte[] Save() => [.. _units.SelectMany(StateOf.Save)];

        public void Take(Rig other)
        {
            _time.AdvanceTo(other._time.NowNs);
            for (int i = 0; i < _units.Length; i++) StateOf.Load(_units[i], StateOf.Save(other._units[i]));
        }

        public void Put(byte value) => _seen.Add(value);

        public void Read(uint physical, Span<byte> destination) => destination.Fill((byte)physical);

        public void Write(uint physical, ReadOnlySpan<byte> source) => _seen.Add((int)physical ^ source.Length);

        public bool IsFree(uint physical, uint size) => true;

        public void Map(uint physical, uint size, IMemoryWindow window) => _seen.Add((int)physical);

        public void Unmap(uint physical, uint size, IMemoryWindow window) => _seen.Add(~(int)physical);

        private void Poke(Random random)
        {
            switch (random.Next(5))
            {
                case 0: _isa.PciInterrupt(random.Next(32), 1 + random.Next(4)).Set(random.Next(2) == 0); break;
                case 1: _pm.PressPowerButton(); break;
                case 2: _uart.SetModemLines((byte)random.Next(16)); break;
                case 3: _seen.Add(_dma.Channel(random.Next(4)).ToMemory(new byte[random.Next(600)], out _)); break;
                default: _seen.Add(_dma.Channel(5 + random.Next(3)).FromMemory(new byte[random.Next(600)], out _)); break;
            }
        }
    }
}
