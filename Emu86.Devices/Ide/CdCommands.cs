// The packet commands of a CD-ROM drive (SFF-8020i, MMC-3, SPC-2): one row per command, replies as the texts lay them out.
using System.Buffers.Binary;
using System.Text;

namespace Emu86.Devices.Ide;

/// <summary>What a command does with unit attentions and the medium.</summary>
[Flags]
internal enum CdCommandTraits : byte
{
    None = 0,

    /// <summary>Works although a unit attention waits, and leaves it there (SPC-2, 5.9.5).</summary>
    IgnoresAttention = 1,

    /// <summary>Not ready without a medium.</summary>
    NeedsMedium = 2,
}

/// <summary>How a packet command ended, or what data it has.</summary>
/// <param name="Bytes">Reply in the buffer, not longer than the host wants.</param>
/// <param name="Sense">With a key: it failed.</param>
/// <param name="Sector">For a READ: first sector.</param>
/// <param name="Sectors">For a READ: how many.</param>
internal readonly record struct CdReply(int Bytes, Sense Sense, long Sector = 0, long Sectors = 0);

internal delegate CdReply CdHandler(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply);

/// <summary>The command table. Handlers see the drive's state and nothing else.</summary>
internal static class CdCommands
{
    /// <summary>Longest reply but that of a READ.</summary>
    public const int ReplyBytesMax = 512;

    private const byte InvalidOpcode = 0x20, LbaOutOfRange = 0x21, InvalidField = 0x24, NoMedium = 0x3a, RemovalPrevented = 0x53;
    private const ushort ProfileCdRom = 0x0008;

#pragma warning disable format // columns are aligned by hand
    private static readonly (byte Opcode, CdCommandTraits Traits, CdHandler Handler)[] Rows =
    [
        (0x00, CdCommandTraits.NeedsMedium,      TestUnitReady),
        (0x03, CdCommandTraits.IgnoresAttention, RequestSense),
        (0x12, CdCommandTraits.IgnoresAttention, Inquiry),
        (0x1a, CdCommandTraits.None,             ModeSense6),
        (0x1b, CdCommandTraits.None,             StartStop),
        (0x1e, CdCommandTraits.None,             PreventAllow),
        (0x25, CdCommandTraits.NeedsMedium,      ReadCapacity),
        (0x28, CdCommandTraits.NeedsMedium,      Read10),
        (0x2b, CdCommandTraits.NeedsMedium,      Seek),
        (0x43, CdCommandTraits.NeedsMedium,      ReadToc),
        (0x46, CdCommandTraits.IgnoresAttention, GetConfiguration),
        (0x4a, CdCommandTraits.IgnoresAttention, GetEventStatus),
        (0x5a, CdCommandTraits.None,             ModeSense10),
        (0xa8, CdCommandTraits.NeedsMedium,      Read12),
        (0xbd, CdCommandTraits.None,             MechanismStatus),
    ];
#pragma warning restore format

    private static readonly (CdCommandTraits Traits, CdHandler? Handler)[] Table = ByOpcode();

    /// <summary>Does a command, up to its data.</summary>
    public static CdReply Do(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        (CdCommandTraits traits, CdHandler? handler) = Table[packet[0]];
        if (packet[0] != 0x03) cd.Sense = default;
        if (cd.Attention != 0 && (traits & CdCommandTraits.IgnoresAttention) == 0)
        {
            byte code = cd.Attention;
            cd.Attention = 0;
            return Fail(SenseKey.UnitAttention, code);
        }
        if (handler is null) return Fail(SenseKey.IllegalRequest, InvalidOpcode);
        if ((traits & CdCommandTraits.NeedsMedium) != 0 && !cd.HasMedium) return Fail(SenseKey.NotReady, NoMedium, cd.TrayOpen != 0 ? (byte)2 : (byte)1);
        reply[..ReplyBytesMax].Clear();
        return handler(ref cd, packet, reply);
    }

    private static (CdCommandTraits, CdHandler?)[] ByOpcode()
    {
        var table = new (CdCommandTraits, CdHandler?)[256];
        foreach ((byte opcode, CdCommandTraits traits, CdHandler handler) in Rows) table[opcode] = (traits, handler);
        return table;
    }

    private static CdReply Fail(byte key, byte code, byte qualifier = 0) => new(0, new Sense(key, code, qualifier));

    private static CdReply Done(int bytes = 0) => new(bytes, default);

    private static CdReply TestUnitReady(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply) => Done();

    private static CdReply RequestSense(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        Sense sense = cd.Sense;
        // What nobody was told yet is told now (SPC-2, 7.20).
        if (sense.Key == SenseKey.None && cd.Attention != 0)
        {
            sense = new Sense(SenseKey.UnitAttention, cd.Attention);
            cd.Attention = 0;
        }
        cd.Sense = default;
        reply[0] = 0x70;
        reply[2] = sense.Key;
        reply[7] = 10;
        reply[12] = sense.Code;
        reply[13] = sense.Qualifier;
        return Done(Math.Min(18, (int)packet[4]));
    }

    private static CdReply Inquiry(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        if ((packet[1] & 3) != 0 || packet[2] != 0) return Fail(SenseKey.IllegalRequest, InvalidField);     // no vital product data
        reply[0] = 0x05;                                // CD-ROM
        reply[1] = 0x80;                                // removable
        reply[3] = 0x21;                                // ATAPI, response format 1
        reply[4] = 31;
        Encoding.ASCII.GetBytes("EMU86   CD-ROM          1.0 ", reply[8..]);
        return Done(Math.Min(36, (int)packet[4]));
    }

    private static CdReply ModeSense6(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        int pages = ModePages(cd, packet, reply[4..]);
        if (pages < 0) return Fail(SenseKey.IllegalRequest, InvalidField);
        reply[0] = (byte)(3 + pages);
        reply[1] = MediumType(cd);
        return Done(Math.Min(4 + pages, packet[4]));
    }

    private static CdReply ModeSense10(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        int pages = ModePages(cd, packet, reply[8..]);
        if (pages < 0) return Fail(SenseKey.IllegalRequest, InvalidField);
        BinaryPrimitives.WriteUInt16BigEndian(reply, (ushort)(6 + pages));
        reply[2] = MediumType(cd);
        return Done(Wanted(packet, 8 + pages));
    }

    // 01h: a data CD of 120 mm; 70h and 71h: none, tray open (SFF-8020i, table 60).
    private static byte MediumType(in CdState cd) => cd.TrayOpen != 0 ? (byte)0x71 : cd.HasMedium ? (byte)0x01 : (byte)0x70;

    private static int ModePages(in CdState cd, ReadOnlySpan<byte> packet, Span<byte> pages)
    {
        int page = packet[2] & 0x3f, bytes = 0;
        if (packet[2] >> 6 == 3) return -1;             // nothing is saved
        if (page is 0x01 or 0x3f)
        {
            pages[bytes] = 0x01;                        // error recovery
            pages[bytes + 1] = 6;
            pages[bytes + 3] = 5;                       // retries
            bytes += 8;
        }
        if (page is 0x2a or 0x3f)
        {
            Span<byte> capabilities = pages[bytes..];
            capabilities[0] = 0x2a;
            capabilities[1] = 18;
            capabilities[2] = 0x1b;                     // reads CD-R, CD-RW, DVD-ROM, DVD-R
            capabilities[4] = 0x70;                     // mode 2 forms 1 and 2, multisession
            capabilities[6] = (byte)(0x29 | (cd.Locked << 1));      // tray that can be locked and ejected
            BinaryPrimitives.WriteUInt16BigEndian(capabilities[8..], 8467);     // kB/s at most: 48 times
            BinaryPrimitives.WriteUInt16BigEndian(capabilities[12..], 32);      // buffer in KiB
            BinaryPrimitives.WriteUInt16BigEndian(capabilities[14..], 8467);    // and now
            bytes += 20;
        }
        return bytes == 0 ? -1 : bytes;
    }

    private static CdReply StartStop(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        bool start = (packet[4] & 1) != 0;
        if ((packet[4] & 2) == 0)
        {
            return start && !cd.HasMedium ? Fail(SenseKey.NotReady, NoMedium, cd.TrayOpen != 0 ? (byte)2 : (byte)1) : Done();
        }
        if (start)
        {
            if (cd.TrayOpen != 0 && cd.MediumBytes != 0) (cd.Attention, cd.MediaEvent) = (AtapiDrive.MediumMayHaveChanged, MediaEvent.NewMedia);
            cd.TrayOpen = 0;
            return Done();
        }
        if (cd.Locked != 0) return Fail(SenseKey.IllegalRequest, RemovalPrevented, 2);
        if (cd.HasMedium) cd.MediaEvent = MediaEvent.Removal;
        cd.TrayOpen = 1;
        return Done();
    }

    private static CdReply PreventAllow(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        cd.Locked = (byte)(packet[4] & 1);
        return Done();
    }

    private static CdReply ReadCapacity(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        BinaryPrimitives.WriteUInt32BigEndian(reply, (uint)Math.Min(cd.Sectors - 1, uint.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(reply[4..], Medium.SectorBytes);
        return Done(8);
    }

    private static CdReply Read10(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply) =>
        Read(cd, BinaryPrimitives.ReadUInt32BigEndian(packet[2..]), BinaryPrimitives.ReadUInt16BigEndian(packet[7..]));

    private static CdReply Read12(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply) =>
        Read(cd, BinaryPrimitives.ReadUInt32BigEndian(packet[2..]), BinaryPrimitives.ReadUInt32BigEndian(packet[6..]));

    private static CdReply Read(in CdState cd, long sector, long sectors) =>
        sector + sectors > cd.Sectors ? Fail(SenseKey.IllegalRequest, LbaOutOfRange) : new CdReply(0, default, sector, sectors);

    private static CdReply Seek(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply) =>
        BinaryPrimitives.ReadUInt32BigEndian(packet[2..]) >= cd.Sectors ? Fail(SenseKey.IllegalRequest, LbaOutOfRange) : Done();

    /// <summary>One data track and the lead-out, or the one session (MMC-3, READ TOC/PMA/ATIP formats 0 and 1).</summary>
    private static CdReply ReadToc(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        bool minutes = (packet[1] & 2) != 0;
        int format = (packet[2] & 0x0f) != 0 ? packet[2] & 0x0f : packet[9] >> 6;      // SFF-8020i has it in byte 9
        int first = packet[6], bytes = 4;
        reply[2] = reply[3] = 1;
        switch (format)
        {
            case 0:
                if (first is > 1 and not 0xaa) return Fail(SenseKey.IllegalRequest, InvalidField);
                if (first <= 1) Track(reply, ref bytes, 1, 0, minutes);
                Track(reply, ref bytes, 0xaa, cd.Sectors, minutes);
                break;
            case 1:
                Track(reply, ref bytes, 1, 0, minutes);
                break;
            default:
                return Fail(SenseKey.IllegalRequest, InvalidField);
        }
        BinaryPrimitives.WriteUInt16BigEndian(reply, (ushort)(bytes - 2));
        return Done(Wanted(packet, bytes));
    }

    private static void Track(Span<byte> reply, ref int bytes, byte number, long sector, bool minutes)
    {
        Span<byte> track = reply[bytes..];
        track[1] = 0x14;                                // ADR 1, data track
        track[2] = number;
        if (minutes)
        {
            long frame = sector + 150;
            (track[5], track[6], track[7]) = ((byte)Math.Min(frame / 4500, 255), (byte)(frame / 75 % 60), (byte)(frame % 75));
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(track[4..], (uint)Math.Min(sector, uint.MaxValue));
        }
        bytes += 8;
    }

    /// <summary>The profile list and the core feature with the removable medium one (MMC-3, 5.3).</summary>
    private static CdReply GetConfiguration(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        int wanted = packet[1] & 3, from = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]), bytes = 8;
        if (wanted == 3) return Fail(SenseKey.IllegalRequest, InvalidField);
        byte current = cd.HasMedium ? (byte)1 : (byte)0;
        if (cd.HasMedium) BinaryPrimitives.WriteUInt16BigEndian(reply[6..], ProfileCdRom);
        ReadOnlySpan<byte> profiles = [0x00, 0x00, 0x03, 4, 0x00, (byte)ProfileCdRom, current, 0];
        ReadOnlySpan<byte> core = [0x00, 0x01, 0x03, 4, 0, 0, 0, 2];                     // physical interface: ATAPI
        ReadOnlySpan<byte> removable = [0x00, 0x03, 0x03, 4, 0x29, 0, 0, 0];             // a tray, lock and eject
        Feature(reply, ref bytes, profiles, wanted, from);
        Feature(reply, ref bytes, core, wanted, from);
        Feature(reply, ref bytes, removable, wanted, from);
        BinaryPrimitives.WriteUInt32BigEndian(reply, (uint)(bytes - 4));
        return Done(Wanted(packet, bytes));
    }

    // RT 0 and 1: from the number on (all of these are current); 2: that one.
    private static void Feature(Span<byte> reply, ref int bytes, ReadOnlySpan<byte> feature, int wanted, int from)
    {
        int number = BinaryPrimitives.ReadUInt16BigEndian(feature);
        if (wanted == 2 ? number != from : number < from) return;
        feature.CopyTo(reply[bytes..]);
        bytes += feature.Length;
    }

    private static CdReply GetEventStatus(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        if ((packet[1] & 1) == 0) return Fail(SenseKey.IllegalRequest, InvalidField);    // only polled
        const byte Media = 4;
        reply[3] = 1 << Media;
        if ((packet[4] & (1 << Media)) == 0)
        {
            reply[1] = 2;
            reply[2] = 0x80;                            // no event of the classes asked for
            return Done(Wanted(packet, 4));
        }
        reply[1] = 6;
        reply[2] = Media;
        reply[4] = cd.MediaEvent;
        reply[5] = (byte)((cd.HasMedium ? 2 : 0) | cd.TrayOpen);
        int bytes = Wanted(packet, 8);
        if (bytes > 4) cd.MediaEvent = MediaEvent.None;
        return Done(bytes);
    }

    private static CdReply MechanismStatus(ref CdState cd, ReadOnlySpan<byte> packet, Span<byte> reply)
    {
        reply[1] = (byte)(cd.TrayOpen << 4);
        return Done(Math.Min(8, (int)BinaryPrimitives.ReadUInt16BigEndian(packet[8..])));
    }

    /// <summary>The allocation length of ten-byte commands bounds a reply.</summary>
    private static int Wanted(ReadOnlySpan<byte> packet, int bytes) => Math.Min(bytes, (int)BinaryPrimitives.ReadUInt16BigEndian(packet[7..]));
}
