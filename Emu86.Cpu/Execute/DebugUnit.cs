// Debug registers and single step (SDM vol. 3, ch. 17).
namespace Emu86.Cpu.Execute;

public static unsafe class DebugUnit
{
    public static bool Armed(Ctx* c) => (c->S.Dr[7] & 0xff) != 0;

    public static bool PageWatched(Ctx* c, uint linearPage) => false;

    public static void OnData(Ctx* c, uint linear, uint size, bool write) => Check.Fail("data breakpoints");

    public static bool CheckInstruction(Ctx* c) => true;

    public static void AfterInstruction(Ctx* c, bool traced, bool resumed) => c->S.SystemFlags &= ~Flags.Rf;

    public static bool DeliverPending(Ctx* c) => false;
}
