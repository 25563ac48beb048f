// The guest's status flags in translated code: in the host's flags, in rax, or, where only an exit or a rare reader would look at
// them, nowhere but in the operands they came from (FlagRecipe).
using Emu86.Cpu.Decode;
using Iced.Intel;
using static Emu86.Cpu.Translate.HostRegisters;

namespace Emu86.Cpu.Translate;

/// <summary>Where the guest's flags are: at least one is true or given.</summary>
internal readonly record struct FlagPlaces(bool InHost, bool InRax, FlagRecipe Recipe)
{
    public static readonly FlagPlaces Rax = new(false, true, default);
}

/// <summary>What an instruction does with the status flags.</summary>
internal enum FlagFlow : byte
{
    Passes,
    Reads,

    /// <summary>Reads any or leaves some as they are, and writes others.</summary>
    Changes,

    /// <summary>Writes all six without looking.</summary>
    Overwrites,

    /// <summary>The interpreter or something else needs them all, in rax.</summary>
    Looks,
}

internal sealed unsafe partial class Translator
{
    private readonly FlagRecipe[] _recipes = new FlagRecipe[Trace.InstructionsMax];
    private readonly uint[] _writes = new uint[Trace.InstructionsMax];
    private readonly InstructionInfoFactory _info = new();

    private readonly FlagFlow[] _flows = new FlagFlow[Trace.InstructionsMax];

    private FlagPlaces _flags;

    /// <summary>Finds the instructions whose flags need not be kept.</summary>
    private void PlanFlags(bool closes)
    {
        for (int n = 0; n < _count; n++) (_writes[n], _flows[n]) = (RegistersWritten(_decoded[n]), FlowOf(n));
        for (int n = 0; n < _count; n++) _flagsUnseen[n] = AreFlagsUnseen(n);
        for (int n = 0; n < _count; n++) _recipes[n] = _flows[n] == FlagFlow.Overwrites ? LastingRecipe(n, closes) : default;
    }

    /// <summary>The recipe, if whatever may look at the flags until they are overwritten finds its registers unchanged.</summary>
    private FlagRecipe LastingRecipe(int from, bool closes)
    {
        FlagRecipe recipe = FlagRecipe.Of(_decoded[from]);
        if (recipe.Source == FlagSource.None) return default;
        bool changed = false;
        int end = closes ? _count + from : _count;
        for (int at = from + 1; at < end; at++)
        {
            int n = at % _count;
            ref readonly Instruction x = ref _decoded[n];
            FlagFlow flow = _flows[n];
            // The beginning of a trace that begins again may leave.
            if (n == 0 && changed) return default;
            bool isRead = flow is FlagFlow.Reads or FlagFlow.Changes;
            // Where the host's high bytes are in scratch registers a recipe has none.
            if (isRead && HostForm.HasHigh(x)) return default;
            if (changed && (isRead || flow == FlagFlow.Looks || MayLeave(x))) return default;
            if (flow is FlagFlow.Looks or FlagFlow.Changes or FlagFlow.Overwrites) return recipe;
            changed |= recipe.NeedsAny(_writes[n]);
            // It finds out only when it has moved ESP that it does not go where the trace goes.
            if (changed && x.FlowControl == FlowControl.Return) return default;
        }
        return changed ? default : recipe;
    }

    private FlagFlow FlowOf(int n)
    {
        ref readonly Instruction x = ref _decoded[n];
        if (_faults[n]) return FlagFlow.Looks;
        switch (x.Code)
        {
            case Code.Push_r32 or Code.Pop_r32 or Code.Push_rm32 or Code.Pop_rm32 or Code.Pushd_imm8 or Code.Pushd_imm32 or Code.Leaved:
            case Code.Jmp_rel8_32 or Code.Jmp_rel32_32 or Code.Call_rel32_32 or Code.Retnd or Code.Retnd_imm16:
            case Code.Jecxz_rel8_32 or Code.Loop_rel8_32_ECX or Code.Cdq or Code.Cwde or Code.Cbw or Code.Cld or Code.Std or Code.Cli:
            case Code.Pushd_DS or Code.Pushd_ES or Code.Pushd_SS or Code.Pushd_CS or Code.Pushd_FS or Code.Pushd_GS:
                return FlagFlow.Passes;
            case Code.Clc or Code.Stc or Code.Cmc:
                return FlagFlow.Changes;
            case Code.Mul_rm32 or Code.Imul_rm32:
            case Code.Popfd:
                return FlagFlow.Overwrites;
        }
        if (x.IsJccShortOrNear) return FlagFlow.Reads;
        if (x.IsStringInstruction) return x.Mnemonic is Mnemonic.Lodsb or Mnemonic.Lodsd or Mnemonic.Stosb or Mnemonic.Stosd or Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd ? FlagFlow.Passes : FlagFlow.Looks;
        if (x.Mnemonic is Mnemonic.Lea or Mnemonic.Nop or Mnemonic.Xchg or Mnemonic.Div or Mnemonic.Idiv) return FlagFlow.Passes;
        FlagUse? use = FpuForm.Of(x)?.Flags ?? HostForm.Of(x, _undefined)?.Flags;
        return use switch
        {
            FlagUse.None => FlagFlow.Passes,
            FlagUse.Writes => FlagFlow.Overwrites,
            FlagUse.Reads => FlagFlow.Reads,
            FlagUse.Carry or FlagUse.All => FlagFlow.Changes,
            _ => FlagFlow.Looks,
        };
    }

    /// <summary>Whether code may come back to the engine at this instruction, or leave the trace. Only what certainly has a form on
    /// registers alone does not.</summary>
    private bool MayLeave(in Instruction x) =>
        HasMemory(x) || x.IsStackInstruction || x.FlowControl != FlowControl.Next
        || (HostForm.Of(x, _undefined) is null && x.Mnemonic is not (Mnemonic.Lea or Mnemonic.Nop));

    /// <summary>The general registers that an instruction may write, by number.</summary>
    private uint RegistersWritten(in Instruction x)
    {
        uint written = 0;
        foreach (UsedRegister used in _info.GetInfo(x, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
        {
            bool writes = used.Access is not (OpAccess.None or OpAccess.Read or OpAccess.CondRead or OpAccess.NoMemAccess);
            int number = used.Register.GetFullRegister32() - Register.EAX;
            if (writes && used.Register.IsGPR() && number is >= 0 and < 8) written |= 1u << number;
        }
        return written;
    }

    /// <summary>Flags that the host's hold alone go to rax, unless they can be found again: needed before the host's are used for
    /// something else.</summary>
    private void SaveFlags()
    {
        if (_flags.InRax || _flags.Recipe.Source != FlagSource.None) return;
        KeepFlags();
        _flags = _flags with { InRax = true };
    }

    /// <summary>The host's flags may be used for something else.</summary>
    private void FreeFlags()
    {
        SaveFlags();
        _flags = _flags with { InHost = false };
    }

    /// <summary>rax holds the flags: needed wherever other code goes on.</summary>
    private void SettleFlags()
    {
        if (_flags.InRax) return;
        if (!_flags.InHost) _flags.Recipe.Write(_code);
        KeepFlags();
        _flags = _flags with { InHost = true, InRax = true };
    }

    private void KeepFlags()
    {
        _code.Put(Instruction.Create(Code.Lahf));
        _code.Put(Code.Seto_rm8, Register.AL);
    }

    /// <summary>The host's flags are the guest's.</summary>
    private void RestoreFlags()
    {
        if (_flags.InHost) return;
        if (_flags.InRax)
        {
            _code.Put(Code.Cmp_rm8_imm8, Register.AL, -127);
            _code.Put(Instruction.Create(Code.Sahf));
        }
        else
        {
            _flags.Recipe.Write(_code);
        }
        _flags = _flags with { InHost = true };
    }

    /// <summary>The host's CF is the guest's.</summary>
    private void RestoreCarry()
    {
        if (!_flags.InHost && _flags.InRax) _code.Put(Code.Bt_rm32_imm8, Register.EAX, 8);
        else RestoreFlags();
    }

    /// <summary>An instruction has left the guest's flags in the host's.</summary>
    private void FlagsWritten() => _flags = new FlagPlaces(true, false, _recipes[_at]);
}
