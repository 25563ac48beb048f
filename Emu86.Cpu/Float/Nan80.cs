// What becomes of NaNs and of invalid operations in the x87 (Intel SDM vol. 1, table 4-7 and 8.5.1).
namespace Emu86.Cpu.Float;

internal static class Nan80
{
    /// <summary>The answer to an invalid operation: the indefinite when masked.</summary>
    internal static uint Invalid(uint control, ref Float80 result)
    {
        if ((control & Fsw.Invalid) != 0) Round80.Store(ref result, 0xFFFF, Float80.IntegerBit | Float80.QuietBit);
        return Fsw.Invalid;
    }

    /// <summary>One operand, which is a NaN or unsupported.</summary>
    internal static uint Propagate(in Float80 a, uint control, ref Float80 result)
    {
        FloatClass kind = a.Class;
        if (kind == FloatClass.Unsupported) return Invalid(control, ref result);
        uint flags = kind == FloatClass.SignalingNaN ? Fsw.Invalid : 0;
        if ((flags & ~control) == 0) Round80.Store(ref result, a.SignExponent, a.Significand | Float80.QuietBit);
        return flags;
    }

    /// <summary>Two operands, at least one of them a NaN or unsupported.</summary>
    internal static uint Propagate(ulong sa, uint ea, ulong sb, uint eb, uint control, ref Float80 result)
    {
        FloatClass ca = Float80.Classify(sa, ea), cb = Float80.Classify(sb, eb);
        if (ca == FloatClass.Unsupported || cb == FloatClass.Unsupported) return Invalid(control, ref result);
        bool signaling = ca == FloatClass.SignalingNaN || cb == FloatClass.SignalingNaN;
        uint flags = signaling ? Fsw.Invalid : 0;
        if ((flags & ~control) != 0) return flags;
        bool takeA;
        if (ca < FloatClass.QuietNaN) takeA = false;
        else if (cb < FloatClass.QuietNaN) takeA = true;
        else if (ca != cb) takeA = ca == FloatClass.QuietNaN;
        else if (sa != sb) takeA = sa > sb;
        else takeA = ea <= eb; // the positive one of two equal significands
        Round80.Store(ref result, takeA ? ea : eb, (takeA ? sa : sb) | Float80.QuietBit);
        return flags;
    }
}
