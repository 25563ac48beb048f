// The board: the one place that knows all parts, and how they are wired.
using System.Runtime.InteropServices;
using Emu86.Chipset;
using Emu86.Cpu;
using Emu86.Cpu.Memory;
using Emu86.Devices.Debug;
using Emu86.Devices.Ide;
using Emu86.Devices.Input;
using Emu86.Devices.Net;
using Emu86.Devices.Serial;
using Emu86.Devices.Video;

namespace Emu86.Devices;

/// <summary>A configuration that no board can have, with a sentence that says why.</summary>
public sealed class BoardException(string message) : Exception(message);

/// <summary>The parts of a machine and their wiring. <see cref="Machine"/> is its face.</summary>
public sealed class Board : IProcessorBus, IInstructionCounter, IDisposable
{
    private readonly MachineConfig _config;
    private readonly Roms _roms;
    private readonly BoardLogic _logic;
    private readonly PortBus _ports = new();

    internal Board(MachineConfig config, IReadOnlyList<IBlockStore?> disks, IOutputSink outputs, IMediumStore? media)
    {
        _config = config;
        if (config.RtcBaseNs >= 1_000_000_000) throw new BoardException($"the configuration's power-on time has {config.RtcBaseNs} ns in a second");
        Memory = new PhysicalMemory((uint)config.MemoryBytes);
        Clock = new Clock(this);
        Events = new EventQueue();
        Processor = new Processor(Memory, this, CpuModel.ByName(config.Cpu)!);
        Events.DeadlineChanged = Processor.RequestExit;
        Clock.Rate = config.ClockRate;
        _roms = new Roms(config, Memory);
        _logic = new BoardLogic(this, outputs);

        Pic = new Pic8259 { IntrChanged = Processor.SetIntr };
        Pit = new Pit8254(Clock, Events, Irq(0));
        Rtc = new RtcMc146818(Clock, Events, Irq(8), config.RtcBase, config.RtcBaseNs);
        System = new SystemControl(Pit, Irq(13));
        Dma = new Dma8237(_logic);
        Pci = new PciBus(_ports, _logic);
        Bridge = new I440fx((ulong)config.MemoryBytes);
        Isa = new Piix3(Pic);
        // IRQ 9 is shared by the SCI and PCI interrupts: each source has a wire of its own (inputs 16 to 31 are PIIX3's).
        Power = new AcpiPm(Clock, Events, Irq(9));
        Keyboard = new Ps2Keyboard(Clock, Events);
        Mouse = new Ps2Mouse(Clock, Events);
        KeyboardController = new I8042(Clock, Events, Keyboard, Mouse, Irq(1), Irq(12), () => System.A20, open => System.A20 = open);
        Com1 = new Uart16550("com1", Clock, Events, Irq(4), _logic.Serial(0));
        Com2 = new Uart16550("com2", Clock, Events, Irq(3), _logic.Serial(1));
        Vga = new Vga(Clock);
        var drives = new IIdeDrive?[4];
        for (int n = 0; n < 4; n++)
        {
            if (disks[n] is { } disk) drives[n] = new AtaDrive(n, disk, new AtaIdentity("EMU86 HARDDISK", $"EMU86-{n}", "1.0"), Clock, Events, _logic);
        }
        if (config.Cdrom is { } cdrom)
        {
            Cdrom = new AtapiDrive(CdromConfig.Drive, media ?? throw new BoardException("a machine with a CD-ROM drive needs a store for its media"), cdrom.Medium, Clock, Events, _logic);
            drives[CdromConfig.Drive] = Cdrom;
        }
        FirmwareConfig = new FwCfg((ulong)config.MemoryBytes, 1);
        // SeaBIOS lays RAM over C0000h to DFFFFh and takes ROMs that belong to no PCI card from here.
        foreach (OptionRom rom in config.OptionRoms) FirmwareConfig.AddFile($"{(rom.Address == 0xc_0000 ? "vgaroms" : "genroms")}/{rom.Address:x5}.rom", rom.Image);
        Ide = new PiixIde(_logic, Irq(14), Irq(15), drives);
        WireSignals();
        WirePci();
        WirePorts();
        Memory.MapWindow(0xa_0000, Vga.WindowBytes, Vga);
        Units = CollectUnits();
        foreach (IStateful unit in Units)
        {
            Check.That(Units.Count(u => u.StateName == unit.StateName) == 1, $"unit name {unit.StateName} is unique");
        }
        PowerOn();
    }

    public PhysicalMemory Memory { get; }

    public Processor Processor { get; }

    public Clock Clock { get; }

    public EventQueue Events { get; }

    public Pic8259 Pic { get; }

    public Pit8254 Pit { get; }

    public RtcMc146818 Rtc { get; }

    public SystemControl System { get; }

    public Dma8237 Dma { get; }

    public PciBus Pci { get; }

    public I440fx Bridge { get; }

    public Piix3 Isa { get; }

    public AcpiPm Power { get; }

    public Ps2Keyboard Keyboard { get; }

    public Ps2Mouse Mouse { get; }

    public I8042 KeyboardController { get; }

    public Uart16550 Com1 { get; }

    public Uart16550 Com2 { get; }

    public Vga Vga { get; }

    public FwCfg FirmwareConfig { get; }

    public PiixIde Ide { get; }

    /// <summary>Null without a CD-ROM drive.</summary>
    public AtapiDrive? Cdrom { get; }

    /// <summary>The network card, whichever model; null without one.</summary>
    public Dp8390? Nic { get; private set; }

    /// <summary>Everything with state, in the fixed order of snapshots and hashes.</summary>
    internal IReadOnlyList<IStateful> Units { get; }

    /// <summary>Set once the machine is off or was ended.</summary>
    internal StopReason? Ended => _logic.Ended;

    internal List<DiskFailure> DiskFailures => _logic.DiskFailures;

    public ulong InstructionCount => Processor.InstructionCount;

    ulong IProcessorBus.VirtualTimeNs => Clock.NowNs;

    uint IProcessorBus.ReadPort(ushort port, int size) => _ports.Read(port, size);

    void IProcessorBus.WritePort(ushort port, int size, uint value) => _ports.Write(port, size, value);

    byte IProcessorBus.AcknowledgeInterrupt() => Pic.Acknowledge();

    void IProcessorBus.SetFerr(bool asserted) => System.SetFerr(asserted);

    internal void RequestReset() => _logic.RequestReset();

    /// <summary>Carries out what was asked for inside an instruction (reset). True: something changed.</summary>
    internal bool PerformRequests()
    {
        if (!_logic.TakeReset()) return false;
        if (_config.NoReboot)
        {
            _logic.End(StopReason.Ended);
            return true;
        }
        Reset();
        return true;
    }

    internal void Apply(InputEvent input)
    {
        switch (input.Kind)
        {
            case InputKind.NetFrame: Nic?.Receive(input.Data.Span); break;
            case InputKind.SerialBytes:
                foreach (byte b in input.Data.Span) (input.Unit == 0 ? Com1 : Com2).Receive(b);
                break;
            case InputKind.Key: Keyboard.Inject(input.Data.Span); break;
            case InputKind.Mouse:
                Mouse.Inject((int)(input.Value0 >> 32), (int)input.Value0, (int)(input.Value1 >> 32), (byte)input.Value1);
                break;
            case InputKind.DiskResult: Ide.Give(input.Unit, input.Value0, (BlockResult)input.Value1); break;
            case InputKind.RateChange: Clock.Rate = input.Value0; break;
            case InputKind.Reset: _logic.RequestReset(); break;
            case InputKind.PowerButton: Power.PressPowerButton(); break;
            case InputKind.LinkChange: Nic?.SetLink(input.Value0 != 0); break;
            case InputKind.MediumChange when input.Unit == CdromConfig.Drive: Cdrom?.Change(Medium.Of(input)); break;
            case InputKind.MediumChange: break;
            default: Check.Fail($"input of kind {input.Kind}"); break;
        }
    }

    /// <summary>After a snapshot was taken over: what is derived from several units' state.</summary>
    internal void AfterLoad()
    {
        Bridge.Announce();
        Processor.AfterStateChange();
    }

    public void Dispose()
    {
        Processor.Dispose();
        Memory.Dispose();
        _roms.Dispose();
    }

    private IrqLine Irq(int input) => new(Pic, input);

    private void WireSignals()
    {
        System.A20Changed = Processor.SetA20;
        System.ResetRequested = _logic.RequestReset;
        System.PostCodeWritten = _logic.PostCode;
        System.CoprocessorErrorCleared = Processor.AssertIgnne;
        System.NmiRequested = Processor.RaiseNmi;
        KeyboardController.ResetRequested = _logic.RequestReset;
        Pci.ResetRequested = _ => _logic.RequestReset();
        Power.SoftOff = _logic.PowerOff;
        Bridge.ShadowChanged = region => _roms.Shadow(region);
    }

    private void WirePci()
    {
        Pci.Attach(0, 0, Bridge.Pci);
        Pci.Attach(1, 0, Isa.Pci);
        Pci.Attach(1, 1, Ide.Function);
        Pci.Attach(1, 3, Power.Pci, Isa.PciInterrupt(1, 1));
        if (_config.Nic == NicModel.Ne2kPci)
        {
            PciNic = new Rtl8029("net0", _config.Mac, Clock, Events, _logic);
            Pci.Attach(3, 0, PciNic.Function, Isa.PciInterrupt(3, 1));
            Nic = PciNic.Controller;
        }
        else if (_config.Nic == NicModel.Ne2kIsa)
        {
            IsaNic = new Ne2000("net0", _config.Mac, Clock, Events, Irq(10), _logic);
            Nic = IsaNic.Controller;
        }
    }

    private Rtl8029? PciNic { get; set; }

    private Ne2000? IsaNic { get; set; }

    /// <summary>The wiring table. Overlaps stop the machine when it is built.</summary>
    private void WirePorts()
    {
#pragma warning disable format // columns are aligned by hand
        _ports.Map(0x000, 16, Dma.ByteController,                 "8237 channels 0-3");
        _ports.Map(0x020, 2,  Pic.MasterPorts,                    "8259A master");
        _ports.Map(0x040, 4,  Pit,                                "8254");
        _ports.Map(0x060, 1,  KeyboardController.DataPort,        "8042 data");
        _ports.Map(0x061, 1,  System.Port61,                      "system control B");
        _ports.Map(0x064, 1,  KeyboardController.CommandPort,     "8042 command");
        _ports.Map(0x070, 2,  Rtc,                                "MC146818");
        _ports.Map(0x080, 1,  System.Port80,                      "POST code");
        _ports.Map(0x081, 15, Dma.PageRegisters,                  "DMA pages");
        _ports.Map(0x092, 1,  System.Port92,                      "system control A");
        _ports.Map(0x0a0, 2,  Pic.SlavePorts,                     "8259A slave");
        _ports.Map(0x0b2, 2,  Power.ApmPorts,                     "APM");
        _ports.Map(0x0c0, 32, Dma.WordController,                 "8237 channels 4-7");
        _ports.Map(0x0e9, 1,  new DebugPort(_logic.Debug(0xe9)),  "debug port");
        _ports.Map(0x0f0, 2,  System.PortF0,                      "coprocessor error");
        _ports.Map(0x170, 8,  Ide.Secondary,                      "IDE secondary", 4);
        _ports.Map(0x1f0, 8,  Ide.Primary,                        "IDE primary", 4);
        _ports.Map(0x2f8, 8,  Com2,                               "COM2");
        _ports.Map(0x376, 1,  Ide.Secondary.ControlPort,          "IDE secondary control");
        _ports.Map(0x3b0, 48, Vga,                                "VGA");
        _ports.Map(0x3f6, 1,  Ide.Primary.ControlPort,            "IDE primary control");
        _ports.Map(0x3f8, 8,  Com1,                               "COM1");
        _ports.Map(0x402, 1,  new DebugPort(_logic.Debug(0x402)), "firmware debug port");
        _ports.Map(0x510, 2,  FirmwareConfig,                     "fw_cfg", 2);
        _ports.Map(0x4d0, 2,  Pic.EdgeLevelPorts,                 "ELCR");
        _ports.Map(0xcf8, 8,  Pci,                                "PCI configuration", 4);
#pragma warning restore format
        if (IsaNic is not null) _ports.Map(0x300, 32, IsaNic, "NE2000", 4);
        if (_config.ExitPort == 0) return;
        if (!_ports.IsFree(_config.ExitPort, 4)) throw new BoardException($"isa-debug-exit needs four free ports, and of those from {_config.ExitPort:x4}h some are another device's; use f4h, for example");
        _ports.Map(_config.ExitPort, 4, new IsaDebugExit(_logic.Exit), "isa-debug-exit", 4);
    }

    private List<IStateful> CollectUnits()
    {
        var units = new List<IStateful>
        {
            Processor, Clock, Events, _logic, Pic, Pit, Rtc, System, Dma, Pci, Bridge.Pci, Isa.Pci, Isa, Power.Pci, Power, Keyboard, Mouse, KeyboardController, Com1, Com2, Vga, FirmwareConfig,
        };
        units.AddRange(Ide.Units);
        if (PciNic is not null) units.AddRange([PciNic.Function, PciNic, PciNic.Controller]);
        if (IsaNic is not null) units.Add(IsaNic.Controller);
        return units;
    }

    private void PowerOn()
    {
        new CmosSettings((ulong)_config.MemoryBytes, Disk0: Geometry(0), Disk1: Geometry(1), BootOrder: (ushort)_config.BootOrder).Fill(Rtc);
        System.A20 = true;
        Processor.SetA20(true);
        StartFirmware();
    }

    /// <summary>RESET# to everything that has the pin. RAM and CMOS keep their content.</summary>
    private void Reset()
    {
        Processor.Reset();
        foreach (Action reset in new Action[]
        {
            Pic.Reset, Pit.Reset, Rtc.Reset, System.Reset, Dma.Reset, Pci.Reset, Bridge.Reset, Isa.Reset, Power.Pci.Reset, Power.Reset, Keyboard.Reset, Mouse.Reset, KeyboardController.Reset,
            Com1.Reset, Com2.Reset, Vga.Reset, FirmwareConfig.Reset, Ide.Reset,
        })
        {
            reset();
        }
        PciNic?.Reset();
        IsaNic?.Reset();
        System.A20 = true;
        Processor.SetA20(true);
        StartFirmware();
    }

    private void StartFirmware()
    {
        Bridge.Announce();
        if (_config.DirectBoot is { } boot) _roms.SetKernelBoot(KernelLoader.Load(boot, Memory));
    }

    private CmosDisk? Geometry(int drive)
    {
        long sectors = _config.DriveSectors[drive];
        return sectors == 0 ? null : new CmosDisk((ushort)AtaIdentify.Cylinders(sectors, AtaIdentify.DefaultHeads, AtaIdentify.DefaultSectorsPerTrack), 16, 63);
    }
}
