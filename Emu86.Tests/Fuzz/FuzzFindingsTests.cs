// What forged files once did, and what they must do.
using System.Buffers;
using System.IO.Hashing;
using Emu86.Cpu;
using Emu86.Devices;
using Emu86.Ft.Replication;
using Emu86.Tests.Ft;
using Emu86.Tests.Guests;
using MessagePack;

namespace Emu86.Tests.Fuzz;

public sealed class FuzzFindingsTests
{
    /// <summary>It was dereferenced; a number that does not fit was an overflow that nobody expected.</summary>
    [Fact]
    public void A_snapshot_without_a_configuration_or_with_numbers_that_do_not_fit_is_refused()
    {
        Assert.Throws<StateFormatException>(() => Snapshot.ReadConfig(Header((ref MessagePackWriter w) => w.WriteNil())));
        Assert.Throws<StateFormatException>(() => Snapshot.ReadConfig(Header((ref MessagePackWriter w) => MessagePackSerializer.Serialize(ref w, FuzzFiles.Small), version: long.MaxValue)));
        Assert.Equal(FuzzFiles.Small.Hash(), Snapshot.ReadConfig(Header((ref MessagePackWriter w) => MessagePackSerializer.Serialize(ref w, FuzzFiles.Small))).Hash());
    }

    /// <summary>The address and the length were added in 32 bits: the image was written far behind the ROMs' memory.</summary>
    [Fact]
    public void An_option_ROM_whose_end_wraps_around_is_refused() =>
        Refused(FuzzFiles.Small with { OptionRoms = [new OptionRom(0xffff_f000, new byte[0x2000])] }, "option ROMs lie");

    [Fact]
    public void A_configuration_that_no_machine_can_have_is_refused_by_name()
    {
        MachineConfig good = FuzzFiles.Small;
        Assert.Null(good.Problem);
        Refused(good with { Cpu = "none" }, "processor");
        Refused(good with { Cpu = null! }, "processor");
        Refused(good with { MemoryBytes = -1 << 20 }, "memory");
        Refused(good with { MemoryBytes = 1L << 40 }, "memory");
        Refused(good with { DriveSectors = [1, 2] }, "drives");
        Refused(good with { DriveSectors = [long.MaxValue, 0, 0, 0] }, "drives");
        Refused(good with { DriveSectors = null! }, "drives");
        Refused(good with { Mac = [1] }, "address");
        Refused(good with { Mac = [0x53, 0x54, 0, 0x12, 0x34, 0x56] }, "multicast");
        Refused(good with { Nic = (NicModel)9 }, "card");
        Refused(good with { ClockRate = 0 }, "clock");
        Refused(good with { RtcBase = long.MaxValue }, "power-on");
        Refused(good with { Bios = new byte[100] }, "BIOS");
        Refused(good with { OptionRoms = null! }, "option ROMs");
        Refused(good with { OptionRoms = [null!] }, "option ROMs");
        Refused(good with { DirectBoot = new DirectBoot(null!, [], "") }, "kernel");
        Refused(good with { ExitPort = 1 << 20 }, "port");
        Refused(good with { Version = 77 }, "version 77");
    }

    /// <summary>Skipping what is nested calls itself for each level: the process ended without a word.</summary>
    [Fact]
    public void A_configuration_nested_a_million_deep_is_a_sentence()
    {
        using var folder = new TemporaryFolder();
        byte[] good = MessagePackSerializer.Serialize(FuzzFiles.Small), nested = new byte[1_000_000];
        Array.Fill(nested, (byte)0x91);
        // A field more than this program knows: 16 became 17.
        Assert.Equal([0xdc, 0, 16], good[..3]);
        byte[] configuration = [0xdc, 0, 17, .. good[3..], .. nested, 0xc0];
        byte[] snapshot = Header((ref MessagePackWriter w) => w.WriteRaw(configuration)).ToArray();
        byte[] hash = XxHash128.Hash(snapshot);
        // The file's checksum is a little-endian number, the bytes here are big-endian.
        Array.Reverse(hash);
        Emu86Process run = Emu86Process.Run(TimeSpan.FromSeconds(60), "--restore", folder.Write("snapshot", [.. snapshot, .. hash]), "--net", "none", "--serial", "null", "--rtc-base", "2026-01-01", "--stop-at", "20000000");
        Assert.Matches(@"^emu86: --restore [^\n]* is nested too deeply\n$", run.Errors);
        Assert.Equal(1, run.ExitCode);
    }

    /// <summary>A length of 2 GiB or more was negative to the library, and what it threw ended the process of whoever listened.</summary>
    [Theory]
    [InlineData(0xffff_ffff)]
    [InlineData(0x8000_0000)]
    public void Bytes_of_two_gibibytes_are_refused_in_messages_and_snapshots(uint length)
    {
        byte[] bytes = [0xc6, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length, 1, 2, 3];
        byte[] loaded = [0x92, 1, .. bytes], state = [0x93, 1, 0, .. bytes];
        Assert.Throws<ProtocolException>(() => MessageCodec.Read(MessageType.CloneLoaded, loaded, 1));
        Assert.Contains("cannot be read", Assert.Throws<ProtocolException>(() => MessageCodec.Read(MessageType.CloneState, state, 1)).Message);
        Assert.Throws<StateFormatException>(() => Snapshot.ReadConfig(new ReadOnlySequence<byte>(bytes)));
        Assert.Throws<StateFormatException>(() => Snapshot.ReadConfig(Header((ref MessagePackWriter w) => w.WriteRaw(bytes))));
    }

    /// <summary>They stopped the replaying machine as a programming mistake.</summary>
    [Theory]
    [InlineData(InputKind.MediumChange, 1)]
    [InlineData(InputKind.WallTime, 0)]
    [InlineData(InputKind.SerialLines, 0)]
    [InlineData(InputKind.RateChange, 0)]
    public void An_input_that_no_machine_takes_is_refused(InputKind kind, ulong value)
    {
        ArrayBufferWriter<byte> payload = new();
        MessageCodec.Write(payload, new InputRecord(default, new InputEvent(kind, 0, value, 0, default)) { Lsn = 1 });
        Assert.Contains("an input that cannot be", Assert.Throws<ProtocolException>(() => MessageCodec.Read(MessageType.Input, payload.WrittenMemory, 1)).Message);
    }

    private delegate void Writing(ref MessagePackWriter writer);

    private static ReadOnlySequence<byte> Header(Writing configuration, long version = 1)
    {
        ArrayBufferWriter<byte> output = new();
        MessagePackWriter writer = new(output);
        writer.WriteArrayHeader(5);
        writer.Write("emu86-snapshot");
        writer.Write(version);
        configuration(ref writer);
        writer.WriteMapHeader(0);
        writer.WriteMapHeader(0);
        writer.Flush();
        return new ReadOnlySequence<byte>(output.WrittenMemory);
    }

    private static void Refused(MachineConfig config, string word)
    {
        StateFormatException refused = Assert.Throws<StateFormatException>(() => MachineConfig.Read(new ReadOnlySequence<byte>(MessagePackSerializer.Serialize(config))));
        Assert.Contains(word, refused.Message);
    }
}
