// The guest's x87 registers on their way between the state and the host's unit.
using System.Runtime.InteropServices;
using Emu86.Cpu.Float;

namespace Emu86.Cpu.Translate;

/// <summary>The image that translated code loads when it is entered and saves when it comes back, while
/// <see cref="Ctx.NativeFpu"/> is set. Before anything else looks at the guest's x87 unit it goes back to the state.</summary>
internal sealed unsafe class TranslatedFpu
{
    private const int ImageBytes = 512, MxcsrAt = 24;

    /// <summary>What the host's own code has: all exceptions masked, round to nearest.</summary>
    private const uint MxcsrDefault = 0x1f80;

    private readonly Ctx* _c;

    public TranslatedFpu(Ctx* c)
    {
        _c = c;
        Image = (byte*)NativeMemory.AlignedAlloc(ImageBytes, 64);
        new Span<byte>(Image, ImageBytes).Clear();
        *(uint*)(Image + MxcsrAt) = MxcsrDefault;
    }

    /// <summary>In the format of FXSAVE.</summary>
    public byte* Image { get; }

    /// <summary>Takes the registers to the image; false when the guest's next x87 instruction may fault.</summary>
    public bool TryHold()
    {
        if (_c->NativeFpu != 0) return true;
        ref FpuState fpu = ref _c->S.Fpu;
        if ((_c->S.Cr0 & (Modes.Cr0Em | Modes.Cr0Ts)) != 0 || (fpu.Control & Fsw.Exceptions) != Fsw.Exceptions) return false;
        FpuImage.StoreFx(ref fpu, Image);
        _c->NativeFpu = 1;
        _c->NativeFpuOpcode = _c->NativeFpuSegment = 0;
        // The interpreter may have done an access that the code behind it takes for its own.
        _c->NativeFpuData = fpu.DataOffset;
        return true;
    }

    /// <summary>Takes them back to the state.</summary>
    public void Return()
    {
        if (_c->NativeFpu == 0) return;
        _c->NativeFpu = 0;
        ref FpuState fpu = ref _c->S.Fpu;
        // The pointers in the image are the host's.
        (uint offset, uint data, ushort opcode) = (fpu.InstructionOffset, fpu.DataOffset, fpu.LastOpcode);
        (ushort code, ushort segment) = (fpu.InstructionSelector, fpu.DataSelector);
        if (_c->NativeFpuOpcode != 0) (offset, opcode, code) = (_c->NativeFpuOffset, (ushort)_c->NativeFpuOpcode, _c->S.Cs.Selector);
        if (_c->NativeFpuSegment != 0) (data, segment) = (_c->NativeFpuData, Ctx.SegmentOf(_c, (ushort)_c->NativeFpuSegment)->Selector);
        FpuImage.LoadFx(ref fpu, Image);
        (fpu.InstructionOffset, fpu.DataOffset, fpu.LastOpcode) = (offset, data, opcode);
        (fpu.InstructionSelector, fpu.DataSelector) = (code, segment);
    }

    public void Free() => NativeMemory.AlignedFree(Image);
}
