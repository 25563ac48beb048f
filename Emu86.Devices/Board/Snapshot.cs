// A machine's state as MessagePack: configuration, the units' bytes by name and version, RAM pages that are not zero.
using System.Buffers;
using System.IO.Hashing;
using Emu86.Cpu;
using MessagePack;

namespace Emu86.Devices;

/// <summary>Snapshots. Save → load → save gives the same bytes.</summary>
public static class Snapshot
{
    private const string Magic = "emu86-snapshot";
    private const int FormatVersion = 1;
    private const int UnitBytesMax = 64 << 20;

    /// <summary>Reads the configuration of a snapshot, to build the machine that can take it over.</summary>
    public static MachineConfig ReadConfig(ReadOnlySequence<byte> snapshot)
    {
        try
        {
            var reader = new MessagePackReader(snapshot);
            return ReadHeader(ref reader);
        }
        catch (Exception e) when (MachineConfig.IsUnreadable(e))
        {
            throw new StateFormatException($"the snapshot is damaged or truncated ({e.Message})");
        }
    }

    /// <summary>What a page of RAM holds, or held.</summary>
    internal delegate ReadOnlySpan<byte> PageSource(uint page);

    internal static void Write(Board board, MachineConfig config, IBufferWriter<byte> output)
    {
        var units = new ArrayBufferWriter<byte>(1 << 16);
        var lengths = new List<int>();
        CollectUnits(board, units, lengths);
        Write(board, config, units.WrittenSpan, lengths, page => board.Memory.RamPage(page), output);
    }

    /// <summary>Writes a snapshot from units' bytes and pages that may be of an earlier position than the board's.</summary>
    internal static void Write(Board board, MachineConfig config, ReadOnlySpan<byte> unitBytes, List<int> unitLengths, PageSource pageOf, IBufferWriter<byte> output)
    {
        var writer = new MessagePackWriter(output);
        WriteHeader(ref writer, config);
        WriteUnits(ref writer, board, unitBytes, unitLengths);
        uint pages = board.Memory.RamBytes >> 12;
        var stored = new List<uint>();
        for (uint page = 0; page < pages; page++)
        {
            if (pageOf(page).ContainsAnyExcept((byte)0)) stored.Add(page);
        }
        writer.WriteMapHeader(stored.Count);
        foreach (uint page in stored)
        {
            writer.Write(page);
            writer.Write(pageOf(page));
            if (page % 64 == 63) writer.Flush();
        }
        writer.Flush();
    }

    /// <summary>The part of a snapshot from which <see cref="ReadConfig"/> reads: what <see cref="WriteRest"/> writes completes it.</summary>
    internal static void WriteHeader(MachineConfig config, IBufferWriter<byte> output)
    {
        var writer = new MessagePackWriter(output);
        WriteHeader(ref writer, config);
        writer.Flush();
    }

    /// <summary>What follows the header in a snapshot whose RAM travels apart.</summary>
    internal static void WriteRest(Board board, ReadOnlySpan<byte> unitBytes, List<int> unitLengths, IBufferWriter<byte> output)
    {
        var writer = new MessagePackWriter(output);
        WriteUnits(ref writer, board, unitBytes, unitLengths);
        writer.WriteMapHeader(0);
        writer.Flush();
    }

    /// <summary>All of RAM is zero. Pages that are already are not touched: the host may not have given them memory yet.</summary>
    internal static void ClearRam(Board board)
    {
        uint pages = board.Memory.RamBytes >> 12;
        for (uint page = 0; page < pages; page++)
        {
            Span<byte> content = board.Memory.RamPage(page);
            if (content.ContainsAnyExcept((byte)0)) content.Clear();
        }
    }

    /// <summary>All units' bytes, one after the other.</summary>
    internal static void CollectUnits(Board board, ArrayBufferWriter<byte> bytes, List<int> lengths)
    {
        bytes.ResetWrittenCount();
        lengths.Clear();
        int before = 0;
        foreach (IStateful unit in board.Units)
        {
            var writer = new StateWriter(bytes);
            unit.Save(ref writer);
            lengths.Add(bytes.WrittenCount - before);
            before = bytes.WrittenCount;
        }
    }

    internal static IReadOnlyList<(string Unit, byte[] State)> SaveUnits(Board board)
    {
        var bytes = new ArrayBufferWriter<byte>(4096);
        var units = new List<(string, byte[])>();
        foreach (IStateful unit in board.Units)
        {
            Collect(unit, bytes);
            units.Add((unit.StateName, bytes.WrittenSpan.ToArray()));
        }
        return units;
    }

    /// <param name="board">Of a machine with that configuration.</param>
    /// <param name="config">The machine's.</param>
    /// <param name="snapshot">What to take over.</param>
    /// <param name="keepsRam">The pages that are not in the snapshot stay as they are, instead of zero.</param>
    internal static void Read(Board board, MachineConfig config, ReadOnlySequence<byte> snapshot, bool keepsRam = false)
    {
        try
        {
            var reader = new MessagePackReader(snapshot);
            MachineConfig saved = ReadHeader(ref reader);
            if (saved.Hash() != config.Hash()) throw new StateFormatException("the snapshot is of a machine with another configuration");
            ReadUnits(board, ref reader);
            if (!keepsRam) ClearRam(board);
            ReadRam(board, ref reader);
            if (!reader.End) throw new StateFormatException("the snapshot has bytes after its end");
            board.AfterLoad();
        }
        catch (Exception e) when (MachineConfig.IsUnreadable(e))
        {
            throw new StateFormatException($"the snapshot is damaged or truncated ({e.Message})");
        }
    }

    /// <param name="board">Whose units.</param>
    /// <param name="memory">Hash of RAM.</param>
    /// <param name="bytes">For one unit's bytes at a time.</param>
    internal static IReadOnlyList<(string Unit, UInt128 Hash)> HashesOf(Board board, UInt128 memory, ArrayBufferWriter<byte> bytes)
    {
        var hashes = new List<(string, UInt128)> { ("memory", memory) };
        foreach (IStateful unit in board.Units)
        {
            Collect(unit, bytes);
            hashes.Add((unit.StateName, XxHash128.HashToUInt128(bytes.WrittenSpan)));
        }
        return hashes;
    }

    internal static UInt128 HashOf(IReadOnlyList<(string Unit, UInt128 Hash)> hashes)
    {
        var hash = new XxHash128();
        foreach ((_, UInt128 unit) in hashes) Append(hash, unit);
        return hash.GetCurrentHashAsUInt128();
    }

    /// <summary>The same hash from bytes that <see cref="CollectUnits"/> gave.</summary>
    internal static UInt128 HashOf(UInt128 memory, ReadOnlySpan<byte> unitBytes, List<int> unitLengths)
    {
        var hash = new XxHash128();
        Append(hash, memory);
        foreach (int length in unitLengths)
        {
            Append(hash, XxHash128.HashToUInt128(unitBytes[..length]));
            unitBytes = unitBytes[length..];
        }
        return hash.GetCurrentHashAsUInt128();
    }

    private static void Append(XxHash128 hash, UInt128 part)
    {
        Span<byte> bytes = stackalloc byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(bytes, part);
        hash.Append(bytes);
    }

    private static void WriteHeader(ref MessagePackWriter writer, MachineConfig config)
    {
        writer.WriteArrayHeader(5);
        writer.Write(Magic);
        writer.Write(FormatVersion);
        MessagePackSerializer.Serialize(ref writer, config);
    }

    private static void WriteUnits(ref MessagePackWriter writer, Board board, ReadOnlySpan<byte> unitBytes, List<int> unitLengths)
    {
        writer.WriteMapHeader(board.Units.Count);
        for (int n = 0; n < unitLengths.Count; n++)
        {
            writer.Write(board.Units[n].StateName);
            writer.WriteArrayHeader(2);
            writer.Write(board.Units[n].StateVersion);
            writer.Write(unitBytes[..unitLengths[n]]);
            unitBytes = unitBytes[unitLengths[n]..];
        }
    }

    private static void Collect(IStateful unit, ArrayBufferWriter<byte> bytes)
    {
        bytes.ResetWrittenCount();
        var writer = new StateWriter(bytes);
        unit.Save(ref writer);
    }

    private static MachineConfig ReadHeader(ref MessagePackReader reader)
    {
        if (reader.ReadArrayHeader() != 5 || reader.ReadString() != Magic) throw new StateFormatException("this is not an emu86 snapshot");
        int version = reader.ReadInt32();
        if (version != FormatVersion) throw new StateFormatException($"the snapshot has format version {version}, this program reads version {FormatVersion}");
        return MachineConfig.Read(ref reader);
    }

    private static void ReadUnits(Board board, ref MessagePackReader reader)
    {
        int count = reader.ReadMapHeader();
        if (count != board.Units.Count) throw new StateFormatException($"the snapshot has {count} units, the machine {board.Units.Count}");
        foreach (IStateful unit in board.Units)
        {
            string? name = reader.ReadString();
            if (name != unit.StateName) throw new StateFormatException($"the snapshot has unit {name} where {unit.StateName} is expected");
            reader.ReadArrayHeader();
            int version = reader.ReadInt32();
            if (version != unit.StateVersion) throw new StateFormatException($"unit {name} has state version {version}, this program reads {unit.StateVersion}");
            ReadOnlySequence<byte> bytes = reader.ReadBytes() ?? throw new StateFormatException($"unit {name} has no state");
            if (bytes.Length > UnitBytesMax) throw new StateFormatException($"unit {name} has {bytes.Length} bytes of state");
            var state = new StateReader(bytes.IsSingleSegment ? bytes.FirstSpan : bytes.ToArray());
            unit.Load(ref state);
            if (state.Remaining != 0) throw new StateFormatException($"unit {name} has {state.Remaining} bytes of state too many");
        }
    }

    private static void ReadRam(Board board, ref MessagePackReader reader)
    {
        uint pages = board.Memory.RamBytes >> 12;
        int stored = reader.ReadMapHeader();
        for (int n = 0; n < stored; n++)
        {
            uint page = reader.ReadUInt32();
            ReadOnlySequence<byte> bytes = reader.ReadBytes() ?? default;
            if (page >= pages || bytes.Length != 4096) throw new StateFormatException($"the snapshot's RAM page {page} is damaged");
            bytes.CopyTo(board.Memory.RamPage(page));
        }
    }
}
