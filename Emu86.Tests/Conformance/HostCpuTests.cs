// The harness itself: registers, flags, memory and x87 state go in and come out.
using System.Buffers.Binary;

namespace Emu86.Tests.Conformance;

public sealed class HostCpuTests
{
    [SkippableFact]
    public void Registers_and_flags_go_in_and_come_out()
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        using var host = new HostCpu();
        var registers = new HostRegisters { Rax = 0xFFFFFFFF, Rbx = 5, R15 = 77, Rflags = 1 };
        host.Run([0x11, 0xD8], ref registers); // adc eax, ebx
        Assert.Equal(5UL, registers.Rax);
        Assert.Equal(77UL, registers.R15);
        Assert.Equal(0x15UL, registers.Rflags & 0x8D5); // CF, AF, PF
    }

    [SkippableFact]
    public void Memory_is_reached_through_a_register()
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        using var host = new HostCpu();
        host.Load([0x48, 0xFF, 0x07]); // inc qword [rdi]
        host.Registers.Rdi = host.MemoryAddress;
        host.Memory[0] = 0xFF;
        host.Run();
        host.Run();
        Assert.Equal(0x101, BinaryPrimitives.ReadInt16LittleEndian(host.Memory));
    }

    [SkippableFact]
    public void An_unmasked_x87_exception_is_seen_without_faulting()
    {
        Skip.IfNot(HostCpu.IsSupported, HostCpu.SkipReason);
        using var host = new HostCpu();
        host.Load([0xD9, 0xFA], withFpu: true); // fsqrt on an empty stack, invalid unmasked
        host.Fpu.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(host.Fpu, 0x37E);
        BinaryPrimitives.WriteUInt16LittleEndian(host.Fpu[8..], 0xFFFF);
        host.Run();
        Assert.Equal(0x8000 | 0x80 | 0x41, BinaryPrimitives.ReadUInt16LittleEndian(host.Fpu[4..]));
    }
}
