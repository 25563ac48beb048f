// Delivery of faults and interrupts, with double and triple faults (SDM vol. 3, tables 6-4 and 6-5).
namespace Emu86.Cpu.Execute;

public static unsafe class Exceptions
{
    /// <summary>Delivers the fault of an instruction; counts 1. False: triple fault.</summary>
    public static bool DeliverFault(Ctx* c, int vector, bool hasError, uint error)
    {
        // A debug trap of the instruction that did not complete is void.
        c->S.PendingDebug = 0;
        if (vector == Vector.Pf) c->S.Cr2 = c->FaultAddress;
        return Deliver(c, vector, InterruptKind.Fault, hasError, error);
    }

    /// <summary>Delivers a hardware interrupt or NMI; counts 1. False: triple fault.</summary>
    public static bool DeliverInterrupt(Ctx* c, int vector) => Deliver(c, vector, InterruptKind.External, false, 0);

    /// <summary>Delivers a trap-class exception at a boundary; counts 1. False: triple fault.</summary>
    public static bool DeliverTrap(Ctx* c, int vector) => Deliver(c, vector, InterruptKind.Trap, false, 0);

    private static bool Deliver(Ctx* c, int vector, InterruptKind kind, bool hasError, uint error)
    {
        // Delivery is a boundary of its own: nothing has to be put off.
        c->Alone = 1;
        bool delivered = Escalate(c, vector, kind, hasError, error);
        c->Alone = 0;
        c->Exit = ExitReason.None;
        c->S.Count++;
        return delivered;
    }

    private static bool Escalate(Ctx* c, int vector, InterruptKind kind, bool hasError, uint error)
    {
        // External interrupts and traps are benign whatever their vector is.
        bool benign = kind is InterruptKind.External or InterruptKind.Trap;
        while (true)
        {
            if (InterruptDelivery.Deliver(c, null, vector, kind, hasError, error)) return true;
            Check.That(c->Exit == ExitReason.Fault);
            c->Exit = ExitReason.None;
            if (vector == Vector.Df && !benign) return false;
            int second = (int)c->FaultVector;
            if (second == Vector.Pf) c->S.Cr2 = c->FaultAddress;
            bool makesDouble = !benign && MakesDouble(vector, second);
            kind = InterruptKind.Fault;
            benign = false;
            (vector, hasError, error) = makesDouble ? (Vector.Df, true, 0u) : (second, c->FaultHasError != 0, c->FaultError);
        }
    }

    /// <summary>SDM vol. 3, table 6-5.</summary>
    private static bool MakesDouble(int first, int second) =>
        first == Vector.Pf ? second == Vector.Pf || IsContributory(second) : IsContributory(first) && IsContributory(second);

    private static bool IsContributory(int vector) => vector is Vector.De or Vector.Ts or Vector.Np or Vector.Ss or Vector.Gp;
}
