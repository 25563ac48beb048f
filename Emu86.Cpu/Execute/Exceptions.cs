// Delivery of faults and interrupts, with double and triple faults (SDM vol. 3, table 6-5).
namespace Emu86.Cpu.Execute;

public static unsafe class Exceptions
{
    /// <summary>Delivers a fault; counts 1. False: triple fault.</summary>
    public static bool DeliverFault(Ctx* c, int vector, bool hasError, uint error) => false;

    /// <summary>Delivers a hardware interrupt or NMI; counts 1. False: triple fault.</summary>
    public static bool DeliverInterrupt(Ctx* c, int vector) => false;
}
