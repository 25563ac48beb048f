// How links and jump-cache entries become stale all at once: each carries the epoch in which it was found.
namespace Emu86.Cpu.Decode;

/// <summary>The epochs of code at rings 0 to 2 and at ring 3. They differ where only one address space was left for another that has the
/// same kernel (<see cref="Memory.Mmu.SwitchSpace"/>).</summary>
public static unsafe class Epochs
{
    /// <summary>From here on the next look-up forgets all that carries an epoch, and numbers begin anew: none comes back while something
    /// may still carry it.</summary>
    public const uint Last = 0xffff_0000;

    /// <summary>All is stale.</summary>
    public static void New(Ctx* c) => c->Epoch = c->SupervisorEpoch = c->UserEpoch = ++c->Epochs;

    /// <summary>All that ring 3 has found is stale.</summary>
    public static void NewForUser(Ctx* c)
    {
        if (c->Epochs >= Last)
        {
            New(c);
            return;
        }
        c->UserEpoch = ++c->Epochs;
        Choose(c);
    }

    /// <summary>After a change of CPL.</summary>
    public static void Choose(Ctx* c) => c->Epoch = c->S.Cpl == 3 ? c->UserEpoch : c->SupervisorEpoch;

    /// <summary>Nothing carries an epoch any more.</summary>
    public static void Restart(Ctx* c)
    {
        c->Epochs = 0;
        New(c);
    }
}
