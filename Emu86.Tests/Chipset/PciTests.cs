// PCI configuration mechanism 1, base address registers, mappings and reset control.
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Tests.Chipset;

public sealed class PciTests
{
    private readonly PortBus _ports = new();
    private readonly TestMemoryMap _memory = new();
    private readonly PciBus _bus;

    public PciTests()
    {
        _bus = new PciBus(_ports, _memory);
        _ports.Map(0xcf8, 8, _bus, "pci", 4);
    }

    [Fact]
    public void An_empty_slot_reads_all_ones()
    {
        Assert.Equal(0xffffffffu, Read(5, 0, 0, 4));
        Assert.Equal(0xffffu, Read(5, 0, 2, 2));
    }

    [Fact]
    public void Without_the_enable_bit_the_data_port_reads_all_ones()
    {
        _bus.Attach(3, 0, Nic(new Recorder()));
        _ports.Write(0xcf8, 4, 3 << 11);
        Assert.Equal(0xffffffffu, _ports.Read(0xcfc, 4));
    }

    [Fact]
    public void Identity_is_readable_in_every_width_and_not_writable()
    {
        _bus.Attach(3, 0, Nic(new Recorder()));
        Write(3, 0, 0, 4, 0);
        Assert.Equal(0x802910ecu, Read(3, 0, 0, 4));
        Assert.Equal(0x8029u, Read(3, 0, 2, 2));
        Assert.Equal(0x29u, Read(3, 0, 2, 1));
        Assert.Equal(0x02000000u, Read(3, 0, 8, 4));
        Assert.Equal(1u, Read(3, 0, 0x3d, 1));
    }

    [Fact]
    public void A_bar_written_with_ones_tells_its_size()
    {
        PciFunction nic = Nic(new Recorder());
        nic.AddMemoryBar(1, 0x10000, new TestWindow(), prefetchable: true);
        _bus.Attach(3, 0, nic);
        Write(3, 0, 0x10, 4, 0xffffffff);
        Write(3, 0, 0x14, 4, 0xffffffff);
        Write(3, 0, 0x18, 4, 0xffffffff);
        Assert.Equal(0xffffffe1u, Read(3, 0, 0x10, 4));
        Assert.Equal(0xffff0008u, Read(3, 0, 0x14, 4));
        Assert.Equal(0u, Read(3, 0, 0x18, 4));
    }

    [Fact]
    public void An_io_bar_answers_only_while_enabled_and_moves()
    {
        var device = new Recorder();
        _bus.Attach(3, 0, Nic(device));
        Write(3, 0, 0x10, 4, 0xc000);
        Assert.Equal(0xffu, _ports.Read(0xc003, 1));
        Write(3, 0, 4, 2, 1);
        Assert.Equal(3u, _ports.Read(0xc003, 1));
        Write(3, 0, 0x10, 4, 0xd000);
        Assert.Equal(0xffu, _ports.Read(0xc003, 1));
        Assert.Equal(0x1fu, _ports.Read(0xd01f, 1));
        Write(3, 0, 4, 1, 0);
        Assert.Equal(0xffu, _ports.Read(0xd01f, 1));
    }

    [Fact]
    public void A_bar_over_a_fixed_port_is_not_mapped()
    {
        var isa = new Recorder();
        _ports.Map(0x310, 1, isa, "isa");
        _bus.Attach(3, 0, Nic(new Recorder()));
        Write(3, 0, 0x10, 4, 0x300);
        Write(3, 0, 4, 2, 1);
        Assert.Equal(0xffu, _ports.Read(0x301, 1));
        Write(3, 0, 0x10, 4, 0x320);
        Assert.Equal(1u, _ports.Read(0x321, 1));
    }

    [Fact]
    public void Of_two_overlapping_bars_the_lower_device_wins_whatever_came_first()
    {
        Recorder first = new() { Base = 0x40 }, second = new() { Base = 0x80 };
        _bus.Attach(3, 0, Nic(first));
        _bus.Attach(4, 0, Nic(second, "nic2"));
        Write(4, 0, 0x10, 4, 0xc000);
        Write(4, 0, 4, 2, 1);
        Assert.Equal(0x80u, _ports.Read(0xc000, 1));
        Write(3, 0, 0x10, 4, 0xc000);
        Write(3, 0, 4, 2, 1);
        Assert.Equal(0x40u, _ports.Read(0xc000, 1));
        Write(3, 0, 4, 2, 0);
        Assert.Equal(0x80u, _ports.Read(0xc000, 1));
    }

    [Fact]
    public void A_memory_bar_and_an_expansion_rom_are_mapped_when_enabled()
    {
        var window = new TestWindow();
        var rom = new TestWindow();
        PciFunction vga = Nic(new Recorder());
        vga.AddMemoryBar(1, 0x1000000, window);
        vga.AddExpansionRom(0x10000, rom);
        _bus.Attach(2, 0, vga);
        Write(2, 0, 0x14, 4, 0xe0000000);
        Write(2, 0, 0x30, 4, 0xf0000000);
        Write(2, 0, 4, 2, 2);
        Assert.Equal([(0xe0000000u, 0x1000000u, window)], _memory.Windows);
        Write(2, 0, 0x30, 4, 0xf0000001);
        Assert.Equal([(0xe0000000u, 0x1000000u, window), (0xf0000000u, 0x10000u, rom)], _memory.Windows);
    }

    [Fact]
    public void Status_bits_are_cleared_by_writing_one()
    {
        PciFunction nic = Nic(new Recorder());
        _bus.Attach(3, 0, nic);
        nic.Poke(PciFunction.StatusRegister, 2, 0x2200);
        Write(3, 0, 6, 2, 0x2000);
        Assert.Equal(0x0200u, Read(3, 0, 6, 2));
    }

    [Fact]
    public void A_second_function_sets_the_multifunction_bit_of_the_first()
    {
        _bus.Attach(1, 0, Nic(new Recorder(), "a"));
        Assert.Equal(0u, Read(1, 0, 0x0e, 1));
        _bus.Attach(1, 1, Nic(new Recorder(), "b"));
        Assert.Equal(0x80u, Read(1, 0, 0x0e, 1));
    }

    [Fact]
    public void A_rising_rcpu_bit_resets_hard_or_soft()
    {
        var resets = new List<bool>();
        _bus.ResetRequested = resets.Add;
        _ports.Write(0xcf9, 1, 2);
        _ports.Write(0xcf9, 1, 6);
        _ports.Write(0xcf9, 1, 6);
        _ports.Write(0xcf9, 1, 0);
        _ports.Write(0xcf9, 1, 4);
        Assert.Equal([true, false], resets);
        Assert.Equal(4u, _ports.Read(0xcf9, 1));
    }

    [Fact]
    public void State_survives_and_mappings_are_rebuilt()
    {
        PciFunction nic = Nic(new Recorder());
        _bus.Attach(3, 0, nic);
        Write(3, 0, 0x10, 4, 0xc000);
        Write(3, 0, 4, 2, 1);

        var ports = new PortBus();
        var bus = new PciBus(ports, new TestMemoryMap());
        PciFunction copy = Nic(new Recorder());
        bus.Attach(3, 0, copy);
        StateOf.AssertRoundTrip(_bus, bus);
        StateOf.AssertRoundTrip(nic, copy);
        Assert.Equal(7u, ports.Read(0xc007, 1));
    }

    private static PciFunction Nic(Recorder device, string name = "nic")
    {
        var function = new PciFunction(name, new PciIdentity(0x10ec, 0x8029, 0x020000), interruptPin: 1);
        function.AddIoBar(0, 32, device, 4);
        return function;
    }

    private uint Read(int device, int function, int register, int size)
    {
        _ports.Write(0xcf8, 4, 0x80000000u | (uint)(device << 11 | function << 8 | (register & 0xfc)));
        return _ports.Read((ushort)(0xcfc + (register & 3)), size);
    }

    private void Write(int device, int function, int register, int size, uint value)
    {
        _ports.Write(0xcf8, 4, 0x80000000u | (uint)(device << 11 | function << 8 | (register & 0xfc)));
        _ports.Write((ushort)(0xcfc + (register & 3)), size, value);
    }

    /// <summary>Reads back the port offset.</summary>
    private sealed class Recorder : IPortDevice
    {
        public uint Base { get; init; }

        public uint ReadPort(int offset, int size) => Base + (uint)offset;

        public void WritePort(int offset, int size, uint value) { }
    }

    private sealed class TestWindow : IMemoryWindow
    {
        public uint Read(uint offset, int size) => offset;

        public void Write(uint offset, int size, uint value) { }
    }

    private sealed class TestMemoryMap : IMemoryMap
    {
        public List<(uint, uint, TestWindow)> Windows { get; } = [];

        public bool IsFree(uint physical, uint size) => true;

        public void Map(uint physical, uint size, IMemoryWindow window) => Windows.Add((physical, size, (TestWindow)window));

        public void Unmap(uint physical, uint size, IMemoryWindow window) => Assert.True(Windows.Remove((physical, size, (TestWindow)window)));
    }
}
