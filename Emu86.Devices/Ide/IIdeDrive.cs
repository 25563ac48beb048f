// What an IDE channel asks of a drive on its cable, whatever the drive is: a disk (AtaDrive) or a CD-ROM (AtapiDrive).
using Emu86.Cpu;

namespace Emu86.Devices.Ide;

/// <summary>One device of a cable, behind the registers that both devices share.</summary>
public interface IIdeDrive : IStateful
{
    /// <summary>0 or 1 on its cable.</summary>
    int Position { get; }

    /// <summary>Wired by the channel: INTRQ may have changed.</summary>
    Action? InterruptChanged { get; set; }

    /// <summary>Wired by the channel; without one DMA commands are aborted.</summary>
    BusMasterChannel? BusMaster { get; set; }

    /// <summary>INTRQ as the device drives it, before nIEN.</summary>
    bool Interrupt { get; }

    byte Status { get; }

    /// <summary>Whether a request is still to come whose end was given.</summary>
    bool HasGiven { get; }

    /// <summary>An input: how a request that is still to come ends.</summary>
    void Give(ulong request, BlockResult result);

    /// <summary>Power-on or hardware reset.</summary>
    void Reset();

    /// <param name="register">1 to 7 of the command block.</param>
    /// <param name="previous">HOB: the byte written before the newest.</param>
    byte ReadRegister(int register, bool previous);

    /// <param name="register">1 to 6 of the command block.</param>
    /// <param name="value">What the host wrote; a busy device does not latch it.</param>
    void WriteRegister(int register, byte value);

    /// <param name="size">1, 2 or 4 bytes.</param>
    uint ReadData(int size);

    /// <param name="size">1, 2 or 4 bytes.</param>
    /// <param name="value">In the low bytes.</param>
    void WriteData(int size, uint value);

    /// <summary>SRST goes up.</summary>
    void BeginSoftReset();

    /// <summary>SRST goes down.</summary>
    void EndSoftReset();

    /// <summary>EXECUTE DEVICE DIAGNOSTIC, which reaches both devices.</summary>
    void Diagnose();

    /// <summary>Any other command.</summary>
    void Execute(byte command);

    /// <summary>The bus master's start bit went up.</summary>
    void BusMasterStarted();

    /// <summary>The bus master's start bit went down.</summary>
    void BusMasterStopped();
}
