// Several values that are pushed together or not at all, on the current stack or on one that is being switched to.
using Emu86.Cpu.Decode;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Execute;

/// <summary>Collects values; <see cref="Probe"/> checks all of them, <see cref="Write"/> then cannot fail.</summary>
internal unsafe struct StackFrame
{
    /// <summary>31 call gate parameters and a return frame.</summary>
    private const int ValuesMax = 40;

    private Segment _stack;
    private uint _esp;
    private readonly int _size;
    private readonly bool _user;
    private int _count;
    private fixed uint _values[ValuesMax];

    /// <param name="size">Bytes per value: 2 or 4.</param>
    /// <param name="level">CPL of the stack.</param>
    public StackFrame(in Segment stack, uint esp, int size, int level)
    {
        _stack = stack;
        _esp = esp;
        _size = size;
        _user = level == 3;
    }

    public void Push(uint value) => _values[_count++] = value;

    /// <summary>#SS with <paramref name="error"/> when the stack segment has no room; page faults as they come.</summary>
    public bool Probe(Ctx* c, Insn* i, uint error)
    {
        uint esp = _esp;
        for (int n = 0; n < _count; n++)
        {
            esp = Down(esp);
            uint offset = Masked(esp);
            if (!Fits(offset)) return Ctx.Fault(c, i, Vector.Ss, error);
            if (_user && c->AlignmentChecked != 0 && ((_stack.Base + offset) & (uint)(_size - 1)) != 0) return Ctx.Fault(c, i, Vector.Ac, 0);
            if (!SlowAccess.Probe(c, i, _stack.Base + offset, (uint)_size, true, supervisor: !_user)) return false;
        }
        return true;
    }

    /// <summary>Writes the values; the result is the new ESP.</summary>
    public uint Write(Ctx* c, Insn* i)
    {
        for (int n = 0; n < _count; n++)
        {
            _esp = Down(_esp);
            uint linear = _stack.Base + Masked(_esp);
            Check.That(_size == 4 ? WriteOne(c, i, linear, _values[n]) : WriteOne(c, i, linear, (ushort)_values[n]));
        }
        return _esp;
    }

    private readonly bool WriteOne<T>(Ctx* c, Insn* i, uint linear, T value) where T : unmanaged =>
        _user ? Linear.Write(c, i, linear, value) : SystemLinear.Write(c, i, linear, value);

    private readonly bool Fits(uint offset)
    {
        fixed (Segment* s = &_stack) return Segmented.MayWrite(s, offset, (uint)_size);
    }

    /// <summary>A 16-bit stack leaves the upper half of ESP alone.</summary>
    private readonly uint Down(uint esp) =>
        _stack.Is32 ? esp - (uint)_size : (esp & 0xffff_0000) | (ushort)(esp - (uint)_size);

    private readonly uint Masked(uint esp) => _stack.Is32 ? esp : (ushort)esp;
}

/// <summary>Reads of the current stack at the current privilege, at a distance from ESP.</summary>
internal static unsafe class CurrentStack
{
    /// <param name="delta">Bytes above the top of the stack.</param>
    public static bool Read(Ctx* c, Insn* i, uint delta, int size, out uint value)
    {
        uint offset = c->S.R[Gpr.Esp] + delta;
        if (!c->S.Ss.Is32) offset = (ushort)offset;
        value = 0;
        if (size == 4)
        {
            uint* p = Segmented.Read<uint>(c, i, Seg.Ss, offset);
            if (p == null) return false;
            value = *p;
            return true;
        }
        ushort* w = Segmented.Read<ushort>(c, i, Seg.Ss, offset);
        if (w == null) return false;
        value = *w;
        return true;
    }

    /// <summary>Removes bytes from the top.</summary>
    public static void Drop(Ctx* c, uint bytes) => Set(c, c->S.R[Gpr.Esp] + bytes);

    /// <summary>ESP, or SP alone on a 16-bit stack.</summary>
    public static void Set(Ctx* c, uint esp) =>
        c->S.R[Gpr.Esp] = c->S.Ss.Is32 ? esp : (c->S.R[Gpr.Esp] & 0xffff_0000) | (ushort)esp;
}
