// A machine's configuration with a CD-ROM drive, and of the version that had none.
using System.Buffers;
using System.IO.Hashing;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Devices.Ide;
using Emu86.Tests.Fuzz;
using MessagePack;

namespace Emu86.Tests.Devices;

public sealed class CdromConfigTests
{
    [Fact]
    public void A_machine_saved_by_the_version_without_the_drive_is_read_and_has_the_hash_it_had()
    {
        byte[] now = MessagePackSerializer.Serialize(FuzzFiles.Small with { Version = 1 });
        // That version had one field less: a shorter head, and no nil at the end.
        byte[] then = [0x9f, .. now[3..^1]];
        MachineConfig read = MachineConfig.Read(new ReadOnlySequence<byte>(then));
        Assert.Equal((1, null), (read.Version, read.Cdrom));
        Assert.Equal(XxHash128.HashToUInt128(then), read.Hash());
        Assert.NotEqual(FuzzFiles.Small.Hash(), read.Hash());
    }

    [Fact]
    public void A_drive_in_a_machine_of_the_version_without_it_is_refused()
    {
        byte[] bytes = MessagePackSerializer.Serialize(FuzzFiles.Small with { Version = 1, Cdrom = new() });
        Assert.Contains("version 1 has no CD-ROM drive", Assert.Throws<StateFormatException>(() => MachineConfig.Read(new ReadOnlySequence<byte>(bytes))).Message);
    }

    [Fact]
    public void A_drive_and_its_medium_are_part_of_what_both_sides_agree_on()
    {
        MachineConfig none = FuzzFiles.Small, empty = none with { Cdrom = new() };
        MachineConfig one = none with { Cdrom = CdromConfig.With(new Medium(4096, 7, "here")) }, elsewhere = none with { Cdrom = CdromConfig.With(new Medium(4096, 7, "there")) };
        Assert.Equal(3, new[] { none.Hash(), empty.Hash(), one.Hash() }.Distinct().Count());
        Assert.Equal(one.Hash(), elsewhere.Hash());
        MachineConfig read = MachineConfig.Read(new ReadOnlySequence<byte>(MessagePackSerializer.Serialize(one)));
        Assert.Equal(new Medium(4096, 7, ""), read.Cdrom!.Medium);
    }
}
