// What every instruction handler gets: the architectural state plus the engine's caches, in one unmanaged block.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu;

/// <summary>Why a chain of handlers stopped before the end of its block.</summary>
public enum ExitReason : uint
{
    /// <summary>The block was completed.</summary>
    None,

    /// <summary>The instruction <see cref="Ctx.Stopped"/> faulted; nothing of it took effect.</summary>
    Fault,

    /// <summary>The instruction touches something that must happen at an exact count or may change the code that follows
    /// (a memory-mapped device, a page with decoded code, a page table): run it again alone. Nothing of it took effect.</summary>
    Alone,
}

/// <summary>The context. <see cref="S"/> is state; the rest is derived, rebuilt at load and never saved.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Ctx
{
    public CpuState S;

    /// <summary>The TLB of the current privilege (supervisor or user), <see cref="TlbEntry.Entries"/> entries.</summary>
    public TlbEntry* Tlb;

    public TlbEntry* TlbSupervisor, TlbUser;

    /// <summary>The block that runs.</summary>
    public Block* Block;

    /// <summary>Set by the last handler of a block: the link that leads to the next block, or null when it must be looked up.</summary>
    public Link* Link;

    /// <summary>Mode bits that decoded blocks depend on (<see cref="BlockMode"/>).</summary>
    public uint Mode;

    /// <summary>Links and jump-cache entries of another epoch are stale. Directly behind <see cref="Mode"/>: translated code
    /// compares both at once.</summary>
    public uint Epoch;

    /// <summary>What <see cref="Epoch"/> is at rings 0 to 2 and at ring 3, and how many epochs there were (<see cref="Decode.Epochs"/>).</summary>
    public uint SupervisorEpoch, UserEpoch, Epochs;

    /// <summary>Non-zero: leave the block loop at the end of this block and look at interrupts, limits and modes again.</summary>
    public uint Attention;

    public ExitReason Exit;

    /// <summary>The instruction that talks to a device, so that the device sees the exact count; null otherwise.</summary>
    public Insn* Current;

    /// <summary>With <see cref="Exit"/> not None: the instruction that was stopped.</summary>
    public Insn* Stopped;

    /// <summary>The fault that was raised: vector, error code, and whether there is one.</summary>
    public uint FaultVector, FaultError, FaultHasError;

    /// <summary>Linear address of a page fault; becomes CR2 when the fault is delivered.</summary>
    public uint FaultAddress;

    /// <summary>1 while one instruction runs alone: device windows, code pages and page tables may then be accessed.</summary>
    public uint Alone;

    /// <summary>The count at which the engine must stop (REP string instructions do not run past it).</summary>
    public ulong Limit;

    /// <summary>A block that begins before this count may follow another without going back to the engine's loop: the limit is
    /// at least a block away. 0: none may.</summary>
    public ulong ChainLimit;

    /// <summary>The jump cache, <see cref="Jump.Entries"/> entries, found by <see cref="Execute.Chain.JumpOf"/>.</summary>
    public Jump* Jumps;

    /// <summary>Where slow reads assemble their value; handlers see it through the pointer that a read returns.</summary>
    public ulong Scratch;

    /// <summary>Result of <see cref="IOperandMemory.Locate"/>: a linear address.</summary>
    public uint Located;

    /// <summary>Linear address of a read-modify-write access that goes through <see cref="Scratch"/>.</summary>
    public uint ScratchLinear;

    /// <summary>Its physical address, and that of the part in the next page.</summary>
    public uint ScratchPhysical, ScratchPhysical2;

    /// <summary>1 while user accesses are checked for alignment (#AC): no fast path is handed out then.</summary>
    public uint AlignmentChecked;

    /// <summary>CS base and limit when links were last valid.</summary>
    public uint CodeBase, CodeLimit;

    /// <summary>Set to 1 when an event is delivered, and when a task switch has been committed; whoever asks clears them first.</summary>
    public uint Delivered, TaskSwitched;

    // Between translated code and the engine (Translate/).

    /// <summary>Instructions from the end of the running translated block to <see cref="Limit"/>.</summary>
    public long NativeLeft;

    /// <summary>The status flags: bits 15:8 as LAHF gives them, bit 0 OF.</summary>
    public uint NativeFlags;

    /// <summary>Why translated code came back (<see cref="Translate.NativeExit"/>), the linear address it is about, and its block.</summary>
    public uint NativeExit, NativePlace;

    /// <summary>A value that translated code keeps while it checks another access.</summary>
    public uint NativeValue;

    /// <summary>The step of the trace (<see cref="Translate.NativeStep"/>) that came back.</summary>
    public nint NativeStep;

    /// <summary>What the tag of a cell adds to its page (<see cref="Translate.AccessCell"/>): a multiple of 2^32, another one after
    /// every change to what the TLB admits.</summary>
    public ulong CellBase;

    /// <summary>1: the host's x87 unit holds the guest's registers while translated code runs, the image otherwise
    /// (<see cref="Translate.TranslatedFpu"/>).</summary>
    public uint NativeFpu;

    /// <summary>The last x87 instruction since then: opcode and segment as in <see cref="Translate.FpuLast"/>, its EIP, and the
    /// offset of the last memory operand.</summary>
    public uint NativeFpuOpcode, NativeFpuOffset, NativeFpuSegment, NativeFpuData;

    /// <summary>GCHandle of the <see cref="Processor"/>.</summary>
    public nint Owner;

    public static Processor ProcessorOf(Ctx* c) => Unsafe.As<Processor>(GCHandle.FromIntPtr(c->Owner).Target!);

    /// <summary>A segment register by number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Segment* SegmentOf(Ctx* c, int number) => &c->S.Es + number;

    /// <summary>A general register by byte offset (<see cref="Insn.Dst"/>), in any width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref T Reg<T>(Ctx* c, byte offset) where T : unmanaged => ref *(T*)((byte*)c + offset);

    /// <summary>Raises a fault of the instruction <paramref name="i"/> without error code. The handler must return at once,
    /// having changed nothing. Always returns false, so that <c>return Ctx.Fault(…)</c> reads well.</summary>
    public static bool Fault(Ctx* c, Insn* i, int vector)
    {
        c->Exit = ExitReason.Fault;
        c->Stopped = i;
        c->FaultVector = (uint)vector;
        c->FaultHasError = 0;
        c->FaultError = 0;
        return false;
    }

    /// <summary>Raises a fault with an error code.</summary>
    public static bool Fault(Ctx* c, Insn* i, int vector, uint error)
    {
        Fault(c, i, vector);
        c->FaultHasError = 1;
        c->FaultError = error;
        return false;
    }

    /// <summary>As <see cref="Fault(Ctx*, Insn*, int, uint)"/>: page fault at <paramref name="linear"/>.</summary>
    public static bool PageFault(Ctx* c, Insn* i, uint linear, uint error)
    {
        c->FaultAddress = linear;
        return Fault(c, i, Vector.Pf, error);
    }

    /// <summary>Asks that the instruction be run again alone; the handler must return at once.</summary>
    public static bool NeedAlone(Ctx* c, Insn* i)
    {
        c->Exit = ExitReason.Alone;
        c->Stopped = i;
        return false;
    }

    /// <summary>The exact instruction count before <paramref name="i"/>.</summary>
    public static ulong CountAt(Ctx* c, Insn* i) => c->S.Count + i->Index;
}

/// <summary>Exception vectors (SDM vol. 3, table 6-1).</summary>
public static class Vector
{
    public const int De = 0, Db = 1, Nmi = 2, Bp = 3, Of = 4, Br = 5, Ud = 6, Nm = 7, Df = 8, Ts = 10, Np = 11, Ss = 12, Gp = 13,
        Pf = 14, Mf = 16, Ac = 17, Mc = 18;
}
