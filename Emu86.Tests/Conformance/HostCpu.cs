// The host's own processor as the reference: a few bytes of 64-bit machine code run natively on given registers, flags,
// memory and x87 state, and everything they changed is read back. Tests skip where the host cannot do that.
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Emu86.Tests.Conformance;

/// <summary>What the code finds in the registers, and what it leaves there. RSP is the host's own and is not set.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct HostRegisters
{
    public ulong Rax, Rcx, Rdx, Rbx, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15;

    /// <summary>In: only CF, PF, AF, ZF, SF, DF and OF are loaded. Out: the whole RFLAGS.</summary>
    public ulong Rflags;
}

/// <summary>Two pages: one with the code (never writable and executable at once), one with everything it works on.
/// <see cref="Load"/> a snippet, set <see cref="Registers"/>, <see cref="Memory"/> and <see cref="Fpu"/>, then <see cref="Run"/>
/// as often as wanted. The code must not fault, must leave the stack as it was and may not jump out of itself.</summary>
public sealed unsafe class HostCpu : IDisposable
{
    public const string SkipReason = "needs an x86-64 Linux or macOS host that allows executable mappings";
    public const int MemoryLength = 1024, FpuLength = 108;
    private const int PageLength = 4096, RegistersOffset = 0, FpuOffset = 256, StackOffset = 512, MemoryOffset = 1024;
    private const ulong LoadedFlags = 0xCD5;
    private const int Read = 1, Write = 2, Execute = 4, Private = 2;

    private readonly byte* _code;
    private readonly byte* _data;

    public static bool IsSupported { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64
        && (OperatingSystem.IsLinux() || OperatingSystem.IsMacOS());

    /// <summary>Whether what the manual leaves undefined can be compared: our results are those of Intel's processors.</summary>
    public static bool IsIntel { get; } = IsSupported && X86Base.IsSupported && X86Base.CpuId(0, 0).Ebx == 0x756e_6547;

    public HostCpu()
    {
        int anonymous = OperatingSystem.IsMacOS() ? 0x1000 : 0x20;
        nint pages = MemoryMap(0, 2 * PageLength, Read | Write, Private | anonymous, -1, 0);
        if (pages == -1) throw new InvalidOperationException("the host gave no memory for native code");
        _code = (byte*)pages;
        _data = _code + PageLength;
    }

    public ref HostRegisters Registers => ref *(HostRegisters*)(_data + RegistersOffset);

    /// <summary>Scratch memory for operands.</summary>
    public Span<byte> Memory => new(_data + MemoryOffset, MemoryLength);

    /// <summary>The address of <see cref="Memory"/>, for a register that the code addresses with.</summary>
    public ulong MemoryAddress => (ulong)(_data + MemoryOffset);

    /// <summary>The x87 state as a 32-bit protected-mode FNSAVE image: loaded before the code, saved after it. Must not
    /// hold a pending unmasked exception when it is loaded.</summary>
    public Span<byte> Fpu => new(_data + FpuOffset, FpuLength);

    /// <summary>Takes over a snippet of straight 64-bit code.</summary>
    /// <param name="code">The bytes; execution falls out at their end.</param>
    /// <param name="withFpu">Load <see cref="Fpu"/> before and save it after (FRSTOR, FNSAVE: neither waits after the code).</param>
    public void Load(ReadOnlySpan<byte> code, bool withFpu = false)
    {
        Protect(Read | Write);
        var bytes = new Emitter(_code, _data);
        bytes.Emit(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); // push rbx, rbp, r12–r15
        bytes.EmitRip([0x48, 0x89], 4, StackOffset);                             // mov [stack], rsp
        if (withFpu) bytes.EmitRip([0xDD], 4, FpuOffset);                        // frstor [fpu]
        bytes.EmitRip([0xFF], 6, 15 * 8);                                        // push [rflags]
        bytes.Emit(0x9D);                                                        // popfq
        MoveRegisters(ref bytes, 0x8B);
        foreach (byte one in code) bytes.Emit(one);
        MoveRegisters(ref bytes, 0x89);
        bytes.Emit(0x9C);                                                        // pushfq
        bytes.EmitRip([0x8F], 0, 15 * 8);                                        // pop [rflags]
        if (withFpu) bytes.EmitRip([0xDD], 6, FpuOffset);                        // fnsave [fpu]: also returns to the default control word
        bytes.EmitRip([0x48, 0x8B], 4, StackOffset);                             // mov rsp, [stack]
        bytes.Emit(0xFC);                                                        // cld
        bytes.Emit(0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3);
        Protect(Read | Execute);
    }

    /// <summary>Runs what <see cref="Load"/> took over.</summary>
    public void Run()
    {
        Registers.Rflags = (Registers.Rflags & LoadedFlags) | 2;
        ((delegate* unmanaged<void>)_code)();
    }

    /// <summary>Runs <paramref name="code"/> once on <paramref name="registers"/>.</summary>
    public void Run(ReadOnlySpan<byte> code, ref HostRegisters registers)
    {
        Load(code);
        Registers = registers;
        Run();
        registers = Registers;
    }

    public void Dispose() => _ = MemoryUnmap((nint)_code, 2 * PageLength);

    private static void MoveRegisters(ref Emitter bytes, byte opcode)
    {
        ReadOnlySpan<byte> numbers = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        for (int i = 0; i < numbers.Length; i++)
            bytes.EmitRip([(byte)(0x48 | numbers[i] >> 3 << 2), opcode], numbers[i] & 7, RegistersOffset + 8 * i);
    }

    private void Protect(int protection)
    {
        if (MemoryProtect((nint)_code, PageLength, protection) != 0)
            throw new InvalidOperationException("the host does not let this process run code it wrote");
    }

    private struct Emitter(byte* code, byte* data)
    {
        private byte* _at = code;
        private readonly byte* _end = code + PageLength;

        public void Emit(params ReadOnlySpan<byte> bytes)
        {
            if (bytes.Length > _end - _at) throw new ArgumentException("the code is longer than a page");
            bytes.CopyTo(new Span<byte>(_at, bytes.Length));
            _at += bytes.Length;
        }

        /// <summary>An instruction with one operand at an offset of the data page, addressed relative to RIP.</summary>
        public void EmitRip(ReadOnlySpan<byte> opcode, int reg, int offset)
        {
            Emit(opcode);
            Emit((byte)(reg << 3 | 5));
            int displacement = (int)(data + offset - (_at + 4));
            Emit(new ReadOnlySpan<byte>(&displacement, 4));
        }
    }

    [DllImport("libc", EntryPoint = "mmap")]
    private static extern nint MemoryMap(nint address, nint length, int protection, int flags, int file, nint offset);

    [DllImport("libc", EntryPoint = "mprotect")]
    private static extern int MemoryProtect(nint address, nint length, int protection);

    [DllImport("libc", EntryPoint = "munmap")]
    private static extern int MemoryUnmap(nint address, nint length);
}
