// Writes host instructions: Iced encodes, this class keeps the place and the labels.
using Iced.Intel;

namespace Emu86.Cpu.Translate;

/// <summary>A position in the code that is being written, known now or later.</summary>
internal readonly record struct HostLabel(int Number);

/// <summary>Host machine code in the making. Addresses are those of the executable mapping.</summary>
internal sealed unsafe class HostCode : CodeWriter
{
    private const int Unplaced = -1;

    private readonly Encoder _encoder;
    private readonly List<int> _places = [];
    private readonly List<(int At, int Label)> _uses = [];
    private byte* _writable;
    private nint _executable;
    private int _at;

    public HostCode() => _encoder = Encoder.Create(64, this);

    /// <summary>Bytes written since <see cref="Begin"/>.</summary>
    public int Length => _at;

    /// <summary>The address at which it begins.</summary>
    public nint Start => _executable;

    /// <summary>The address at which the next instruction will run.</summary>
    public nint Here => _executable + _at;

    /// <summary>Starts a new piece of code.</summary>
    public void Begin(byte* writable, byte* executable)
    {
        _writable = writable;
        _executable = (nint)executable;
        _at = 0;
        _places.Clear();
        _uses.Clear();
    }

    public override void WriteByte(byte value) => _writable[_at++] = value;

    public HostLabel NewLabel()
    {
        _places.Add(Unplaced);
        return new HostLabel(_places.Count - 1);
    }

    public void Place(HostLabel label) => _places[label.Number] = _at;

    /// <summary>Fills in the distances to the labels.</summary>
    public void Finish()
    {
        foreach ((int at, int label) in _uses)
        {
            Check.That(_places[label] != Unplaced);
            *(int*)(_writable + at) = _places[label] - (at + 4);
        }
    }

    public void Put(in Instruction instruction) => _encoder.Encode(instruction, (ulong)Here);

    public void Put(Code code, Register a) => Put(Instruction.Create(code, a));

    public void Put(Code code, Register a, Register b) => Put(Instruction.Create(code, a, b));

    public void Put(Code code, Register a, int immediate) => Put(Instruction.Create(code, a, immediate));

    public void Put(Code code, Register a, long immediate) => Put(Instruction.Create(code, a, immediate));

    public void Put(Code code, Register a, in MemoryOperand b) => Put(Instruction.Create(code, a, b));

    public void Put(Code code, in MemoryOperand a, Register b) => Put(Instruction.Create(code, a, b));

    public void Put(Code code, in MemoryOperand a, int immediate) => Put(Instruction.Create(code, a, immediate));

    public void Put(Code code, in MemoryOperand a) => Put(Instruction.Create(code, a));

    public void Jump(HostLabel label)
    {
        WriteByte(0xe9);
        Use(label);
    }

    /// <summary>A conditional jump; <paramref name="condition"/> is the 4-bit condition of the encoding (SDM vol. 2, B.1.4.7).</summary>
    public void JumpIf(int condition, HostLabel label)
    {
        WriteByte(0x0f);
        WriteByte((byte)(0x80 | condition));
        Use(label);
    }

    /// <summary>A call of code that is already there.</summary>
    public void Call(nint target)
    {
        WriteByte(0xe8);
        Distance(target);
    }

    /// <summary>A jump to code that is already there.</summary>
    public void Jump(nint target)
    {
        WriteByte(0xe9);
        Distance(target);
    }

    /// <summary>A conditional jump to code that is already there.</summary>
    public void JumpIf(int condition, nint target)
    {
        WriteByte(0x0f);
        WriteByte((byte)(0x80 | condition));
        Distance(target);
    }

    /// <summary>A 32-bit word of data.</summary>
    public void Word(uint value)
    {
        *(uint*)(_writable + _at) = value;
        _at += 4;
    }

    private void Distance(nint target) => Word((uint)(int)(target - (Here + 4)));

    private void Use(HostLabel label)
    {
        _uses.Add((_at, label.Number));
        _at += 4;
    }
}
