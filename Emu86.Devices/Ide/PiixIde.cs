// The IDE function of the PIIX3 (82371SB datasheet, 2.3 and 2.7): two channels at the legacy ports and a bus master.
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Ide;

/// <summary>Wires two channels into PCI function 1 of the PIIX3. The board maps the channels at 1F0h/3F6h and 170h/376h
/// and attaches <see cref="Function"/>; state is that of the parts (<see cref="Units"/>).</summary>
public sealed class PiixIde : IPortDevice
{
    private const int TimingRegister = 0x40;

    /// <summary>IDETIM bit 15: the controller decodes the channel's ports. The datasheet's reset value is 0 and firmware
    /// sets it; this board straps it to 1, so that a kernel that is loaded without firmware finds its disks.</summary>
    private const uint TimingDefault = 0x8000;

    private readonly BusMasterChannel[] _busMasters;
    private readonly IIdeDrive?[] _drives;

    /// <param name="memory">Where bus master transfers go.</param>
    /// <param name="irq14">The primary channel's interrupt.</param>
    /// <param name="irq15">The secondary channel's interrupt.</param>
    /// <param name="drives">Four entries by drive number (channel × 2 + position); null is an empty place.</param>
    public PiixIde(IDmaMemory memory, IrqLine irq14, IrqLine irq15, IIdeDrive?[] drives)
    {
        Check.That(drives.Length == 4);
        _drives = drives;
        Function = new("piix3-ide", new(0x8086, 0x7010, 0x010180));
        for (int channel = 0; channel < 2; channel++)
        {
            Function.SetDefault(TimingRegister + 2 * channel, 2, TimingDefault);
            Function.SetWritable(TimingRegister + 2 * channel, 2, 0xffff);
        }
        Function.SetWritable(0x44, 1, 0xff);
        Function.SetDefault(PciFunction.StatusRegister, 2, 0x0280);
        Function.AddIoBar(4, 16, this, 4);
        _busMasters = [new(0, memory), new(1, memory)];
        Primary = new(0, drives[0], drives[1], irq14, _busMasters[0]) { Decoded = () => Decodes(0) };
        Secondary = new(1, drives[2], drives[3], irq15, _busMasters[1]) { Decoded = () => Decodes(1) };
    }

    public PciFunction Function { get; }

    /// <summary>Command block at 1F0h, control port at 3F6h.</summary>
    public IdeChannel Primary { get; }

    /// <summary>Command block at 170h, control port at 376h.</summary>
    public IdeChannel Secondary { get; }

    /// <summary>Everything with state, in a fixed order.</summary>
    public IEnumerable<IStateful> Units => [Function, Primary, Secondary, .. _busMasters, .. _drives.OfType<IIdeDrive>()];

    /// <summary>PCIRST#.</summary>
    public void Reset()
    {
        Function.Reset();
        foreach (BusMasterChannel busMaster in _busMasters) busMaster.Reset();
        Primary.Reset();
        Secondary.Reset();
    }

    public uint ReadPort(int offset, int size) => _busMasters[offset >> 3].ReadPort(offset & 7, size);

    public void WritePort(int offset, int size, uint value) => _busMasters[offset >> 3].WritePort(offset & 7, size, value);

    private bool Decodes(int channel) => (Function.ReadConfig(TimingRegister + 2 * channel, 2) & 0x8000) != 0;

    /// <summary>A drive's flush is due whose writes are not allowed to be durable yet: until then no event may be fired.</summary>
    internal bool WaitsToFlush(ulong nowNs)
    {
        foreach (IIdeDrive? drive in _drives)
        {
            if (drive is AtaDrive disk && disk.WaitsToFlush(nowNs)) return true;
        }
        return false;
    }

    /// <summary>Whether a drive's request is still to come whose end was given.</summary>
    internal bool HasGiven(int drive) => drive is >= 0 and < 4 && _drives[drive] is { HasGiven: true };

    /// <summary>An input: how a request of a drive ends. A drive that is not there has none.</summary>
    internal void Give(int drive, ulong request, BlockResult result)
    {
        if (drive is >= 0 and < 4 && result == BlockResult.IoError) _drives[drive]?.Give(request, result);
    }
}
