// An ATA hard disk behind a task file: registers, commands, PIO and DMA data phases (ATA/ATAPI-6, T13/1410D).
// A host error becomes UNC, IDNF or ABRT here and is reported with its request's number: whoever keeps a log logs it as an input,
// and a replay or a backup is given it for the same request instead of asking its own store.
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Ide;

/// <summary>One disk. It is always part of an <see cref="IdeChannel"/>, which decides which registers it sees.</summary>
public sealed class AtaDrive : IIdeDrive
{
    public const int SectorBytes = 512;

    /// <summary>From a command with data to its first block, in nanoseconds, apart from the transfer itself.</summary>
    private const ulong AccessNs = 50_000;

    /// <summary>From one PIO block to the next, and for commands without data.</summary>
    private const ulong StepNs = 5_000;

    private const ulong ResetNs = 100_000;

    /// <summary>100 MB/s.</summary>
    private const ulong NsPerByte = 10;

    /// <summary>Sectors moved per call of the block store within one DMA command.</summary>
    private const int DmaChunkSectors = 128;

    private readonly int _number;
    private readonly IBlockStore _store;
    private readonly AtaIdentity _identity;
    private readonly Clock _clock;
    private readonly IDiskWriteObserver? _observer;
    private readonly ScheduledEvent _event;
    private readonly byte[] _buffer = new byte[AtaIdentify.MultipleMax * SectorBytes];
    private readonly byte[] _chunk = new byte[DmaChunkSectors * SectorBytes];
    private AtaDriveState _state;

    /// <param name="number">0 to 3: channel × 2 + position on the cable.</param>
    public AtaDrive(int number, IBlockStore store, AtaIdentity identity, Clock clock, EventQueue events, IDiskWriteObserver? observer)
    {
        Check.That(number is >= 0 and <= 3);
        _number = number;
        _store = store;
        _identity = identity;
        _clock = clock;
        _observer = observer;
        _event = events.Register($"ide.drive{number}", Fire);
        Reset();
    }

    public string StateName => $"ide.drive{_number}";

    public int StateVersion => 2;

    /// <summary>0 or 1 on its cable.</summary>
    public int Position => _number & 1;

    /// <summary>Wired by the channel: INTRQ may have changed.</summary>
    public Action? InterruptChanged { get; set; }

    /// <summary>Wired by the channel; without one DMA commands are aborted.</summary>
    public BusMasterChannel? BusMaster { get; set; }

    public bool Interrupt => _state.Interrupt != 0;

    public byte Status => _state.Status;

    private bool Busy => (_state.Status & AtaStatus.Busy) != 0;

    private bool Requesting => (_state.Status & AtaStatus.DataRequest) != 0;

    /// <summary>Power-on or hardware reset.</summary>
    public void Reset()
    {
        _event.Cancel();
        _state = new()
        {
            Requests = _state.Requests,
            GivenRequest = _state.GivenRequest,
            GivenResult = _state.GivenResult,
            Heads = AtaIdentify.DefaultHeads,
            SectorsPerTrack = AtaIdentify.DefaultSectorsPerTrack,
            WriteCache = 1,
            LookAhead = 1,
            TransferMode = 0x22,
        };
        Array.Clear(_buffer);
        PutSignature();
    }

    public void Save(ref StateWriter writer)
    {
        writer.Struct(_state);
        writer.Bytes(_buffer);
    }

    public void Load(ref StateReader reader)
    {
        _state = reader.Struct<AtaDriveState>();
        reader.Bytes(_buffer);
    }

    /// <summary>A flush is due whose writes are not allowed to be durable yet.</summary>
    internal bool WaitsToFlush(ulong nowNs) => _state.Step == AtaStep.Flush && _event.DueNs <= nowNs && !_store.MayFlush;

    public bool HasGiven => _state.GivenRequest != 0;

    /// <summary>An input: how a request that is still to come ends. The store is not asked for it: a write is taken as not done.</summary>
    public void Give(ulong request, BlockResult result) => (_state.GivenRequest, _state.GivenResult) = (request, (byte)result);

    /// <param name="register">1 to 7 of the command block.</param>
    /// <param name="previous">HOB: the byte written before the newest.</param>
    public byte ReadRegister(int register, bool previous)
    {
        switch (register)
        {
            case 1: return _state.Error;
            case 2: return _state.Count.Read(previous);
            case 3: return _state.Low.Read(previous);
            case 4: return _state.Mid.Read(previous);
            case 5: return _state.High.Read(previous);
            case 6: return (byte)(_state.Device | 0xa0);
            default:
                SetInterrupt(false);
                return _state.Status;
        }
    }

    /// <summary>Both devices of a cable latch what the host writes; a busy one does not.</summary>
    /// <param name="register">1 to 6 of the command block.</param>
    public void WriteRegister(int register, byte value)
    {
        if (Busy) return;
        switch (register)
        {
            case 1: _state.Features = value; break;
            case 2: _state.Count.Push(value); break;
            case 3: _state.Low.Push(value); break;
            case 4: _state.Mid.Push(value); break;
            case 5: _state.High.Push(value); break;
            case 6: _state.Device = value; break;
        }
    }

    /// <summary>SRST goes up: whatever runs is dropped and the device is busy until it went down again.</summary>
    public void BeginSoftReset()
    {
        _event.Cancel();
        _state.Step = AtaStep.None;
        _state.WaitsForBusMaster = 0;
        _state.Status = AtaStatus.Busy;
        SetInterrupt(false);
    }

    public void EndSoftReset() => Schedule(AtaStep.Reset, ResetNs);

    /// <param name="size">1, 2 or 4 bytes.</param>
    public uint ReadData(int size)
    {
        if (!Requesting || _state.Writing != 0) return size == 1 ? 0xff : size == 2 ? 0xffff : 0xffffffff;
        uint value = 0;
        for (int i = 0; i < size && _state.BlockPosition < _state.BlockBytes; i++) value |= (uint)_buffer[_state.BlockPosition++] << (8 * i);
        if (_state.BlockPosition == _state.BlockBytes) BlockRead();
        return value;
    }

    /// <param name="size">1, 2 or 4 bytes.</param>
    public void WriteData(int size, uint value)
    {
        if (!Requesting || _state.Writing == 0) return;
        for (int i = 0; i < size && _state.BlockPosition < _state.BlockBytes; i++) _buffer[_state.BlockPosition++] = (byte)(value >> (8 * i));
        if (_state.BlockPosition != _state.BlockBytes) return;
        _state.Status = AtaStatus.Busy;
        Schedule(AtaStep.WriteBlock, StepNs + (ulong)_state.BlockBytes * NsPerByte);
    }

    /// <summary>The bus master's start bit went up: a DMA command that waits for it begins.</summary>
    public void BusMasterStarted()
    {
        if (_state.WaitsForBusMaster == 0) return;
        _state.WaitsForBusMaster = 0;
        Schedule(AtaStep.Dma, AccessNs + (ulong)_state.Remaining * SectorBytes * NsPerByte);
    }

    /// <summary>The start bit went down in the middle of a command, which then waits again.</summary>
    public void BusMasterStopped()
    {
        if (_state.Step != AtaStep.Dma) return;
        _event.Cancel();
        _state.Step = AtaStep.None;
        _state.WaitsForBusMaster = 1;
    }

    /// <summary>EXECUTE DEVICE DIAGNOSTIC reaches both devices; device 0 interrupts.</summary>
    public void Diagnose()
    {
        if (Busy) return;
        PutSignature();
        SetInterrupt(Position == 0);
    }

    public void Execute(byte command)
    {
        if (Busy || Requesting) return;
        _state.Command = command;
        _state.Error = 0;
        _state.Writing = 0;
        _state.Status = AtaStatus.Busy;
        SetInterrupt(false);
        switch (command)
        {
            case 0x20 or 0x21: BeginPio(lba48: false, AtaStep.ReadBlock, 1); break;
            case 0x24: BeginPio(lba48: true, AtaStep.ReadBlock, 1); break;
            case 0xc4: BeginPio(lba48: false, AtaStep.ReadBlock, _state.MultipleCount); break;
            case 0x29: BeginPio(lba48: true, AtaStep.ReadBlock, _state.MultipleCount); break;
            case 0x30 or 0x31: BeginPio(lba48: false, AtaStep.WriteBlock, 1); break;
            case 0x34: BeginPio(lba48: true, AtaStep.WriteBlock, 1); break;
            case 0xc5: BeginPio(lba48: false, AtaStep.WriteBlock, _state.MultipleCount); break;
            case 0x39: BeginPio(lba48: true, AtaStep.WriteBlock, _state.MultipleCount); break;
            case 0xc8 or 0xc9: BeginDma(lba48: false, writing: false); break;
            case 0x25: BeginDma(lba48: true, writing: false); break;
            case 0xca or 0xcb: BeginDma(lba48: false, writing: true); break;
            case 0x35: BeginDma(lba48: true, writing: true); break;
            case 0x40 or 0x41: BeginPio(lba48: false, AtaStep.Verify, 1); break;
            case 0x42: BeginPio(lba48: true, AtaStep.Verify, 1); break;
            case 0xe7 or 0xea: Schedule(AtaStep.Flush, AccessNs); break;
            case 0xec: Schedule(AtaStep.Identify, AccessNs); break;
            case 0xef: End(SetFeatures()); break;
            case 0xc6: End(SetMultiple()); break;
            case 0x91: End(SetGeometry()); break;
            case 0xf8: End(ReadNativeMax(lba48: false)); break;
            case 0x27: End(ReadNativeMax(lba48: true)); break;
            case >= 0x10 and <= 0x1f: End(AtaError.None); break;                      // RECALIBRATE
            case >= 0x70 and <= 0x7f: End(Seek()); break;
            case 0xe0 or 0x94 or 0xe2 or 0x96 or 0xe6 or 0x99: End(SetStandby(1)); break;
            case 0xe1 or 0x95 or 0xe3 or 0x97: End(SetStandby(0)); break;
            case 0xe5 or 0x98: End(CheckPower()); break;
            default: End(AtaError.Aborted); break;                                    // NOP, PACKET and what ATA-6 leaves optional
        }
    }

    private void Fire()
    {
        AtaStep step = _state.Step;
        _state.Step = AtaStep.None;
        switch (step)
        {
            case AtaStep.Complete: Finish(_state.PendingError); break;
            case AtaStep.Identify:
                AtaIdentify.Fill(_buffer.AsSpan(0, SectorBytes), _state, _identity, _store.SectorCount, Position);
                _state.Remaining = 0;
                Offer(SectorBytes);
                SetInterrupt(true);
                break;
            case AtaStep.ReadBlock: ReadBlock(); break;
            case AtaStep.WriteBlock: WriteBlock(); break;
            case AtaStep.Verify: Verify(); break;
            case AtaStep.Flush: Finish(Flush() == BlockResult.Ok ? AtaError.None : AtaError.Aborted); break;
            case AtaStep.Dma: MoveDma(); break;
            case AtaStep.Reset: PutSignature(); break;
            default: Check.Fail($"drive {_number}: an event without a step"); break;
        }
    }

    private void BeginPio(bool lba48, AtaStep step, int sectorsPerBlock)
    {
        if (sectorsPerBlock == 0)
        {
            End(AtaError.Aborted);
            return;
        }
        _state.SectorsPerBlock = (byte)sectorsPerBlock;
        if (!TakeAddress(lba48))
        {
            End(AtaError.IdNotFound);
            return;
        }
        if (step == AtaStep.WriteBlock)
        {
            // The host fills the first block at once and without an interrupt.
            if (_store.IsReadOnly)
            {
                End(AtaError.Aborted);
                return;
            }
            _state.Writing = 1;
            if (BlockSectors() is var sectors and > 0) Offer(sectors * SectorBytes);
            return;
        }
        int bytes = step == AtaStep.Verify ? _state.Remaining * SectorBytes : BlockSectors() * SectorBytes;
        Schedule(step, AccessNs + (ulong)bytes * NsPerByte);
    }

    private void BeginDma(bool lba48, bool writing)
    {
        if (BusMaster is null || (writing && _store.IsReadOnly))
        {
            End(AtaError.Aborted);
            return;
        }
        if (!TakeAddress(lba48) || _state.Lba + _state.Remaining > _store.SectorCount)
        {
            if (_state.Lba < _store.SectorCount) _state.Lba = _store.SectorCount;
            PutAddress(_state.Lba);
            End(AtaError.IdNotFound);
            return;
        }
        _state.Writing = writing ? (byte)1 : (byte)0;
        _state.WaitsForBusMaster = 1;
        if (BusMaster.Started) BusMasterStarted();
    }

    /// <summary>Takes address and count from the registers.</summary>
    /// <returns>False when there is no such first sector.</returns>
    private bool TakeAddress(bool lba48)
    {
        _state.Lba48 = lba48 ? (byte)1 : (byte)0;
        _state.Standby = 0;
        if (lba48)
        {
            _state.Lba = _state.Low.Current | ((long)_state.Mid.Current << 8) | ((long)_state.High.Current << 16)
                | ((long)_state.Low.Previous << 24) | ((long)_state.Mid.Previous << 32) | ((long)_state.High.Previous << 40);
            _state.Remaining = (_state.Count.Previous << 8) | _state.Count.Current;
            if (_state.Remaining == 0) _state.Remaining = 65536;
            return _state.Lba < _store.SectorCount;
        }
        _state.Remaining = _state.Count.Current == 0 ? 256 : _state.Count.Current;
        if ((_state.Device & 0x40) != 0)
        {
            _state.Lba = _state.Low.Current | (_state.Mid.Current << 8) | (_state.High.Current << 16) | ((_state.Device & 0x0f) << 24);
            return _state.Lba < _store.SectorCount;
        }
        int cylinder = _state.Mid.Current | (_state.High.Current << 8);
        int head = _state.Device & 0x0f;
        int sector = _state.Low.Current;
        _state.Lba = ((((long)cylinder * _state.Heads) + head) * _state.SectorsPerTrack) + sector - 1;
        return head < _state.Heads && sector >= 1 && sector <= _state.SectorsPerTrack && _state.Lba < _store.SectorCount;
    }

    /// <summary>Puts a sector's address into the registers, in the form in which the command gave it.</summary>
    private void PutAddress(long lba)
    {
        if (_state.Lba48 != 0)
        {
            _state.Low = new() { Current = (byte)lba, Previous = (byte)(lba >> 24) };
            _state.Mid = new() { Current = (byte)(lba >> 8), Previous = (byte)(lba >> 32) };
            _state.High = new() { Current = (byte)(lba >> 16), Previous = (byte)(lba >> 40) };
            return;
        }
        if ((_state.Device & 0x40) != 0)
        {
            _state.Low.Current = (byte)lba;
            _state.Mid.Current = (byte)(lba >> 8);
            _state.High.Current = (byte)(lba >> 16);
            _state.Device = (byte)((_state.Device & 0xf0) | ((byte)(lba >> 24) & 0x0f));
            return;
        }
        long track = lba / _state.SectorsPerTrack;
        long cylinder = track / _state.Heads;
        _state.Low.Current = (byte)((lba % _state.SectorsPerTrack) + 1);
        _state.Mid.Current = (byte)cylinder;
        _state.High.Current = (byte)(cylinder >> 8);
        _state.Device = (byte)((_state.Device & 0xf0) | (byte)(track % _state.Heads));
    }

    /// <summary>Sectors in the next block: what the command and the medium have left.</summary>
    private int BlockSectors() => (int)Math.Min(Math.Min(_state.SectorsPerBlock, _state.Remaining), _store.SectorCount - _state.Lba);

    private void Offer(int bytes)
    {
        _state.BlockBytes = bytes;
        _state.BlockPosition = 0;
        _state.Status = AtaStatus.Idle | AtaStatus.DataRequest;
    }

    private void ReadBlock()
    {
        int sectors = BlockSectors();
        if (sectors == 0)
        {
            Fail(AtaError.IdNotFound);
            return;
        }
        // A read that fails half-way must leave the buffer alone, which is state: a side that is told of the failure does not read at all.
        Span<byte> data = _chunk.AsSpan(0, sectors * SectorBytes);
        if (Read(data) != BlockResult.Ok)
        {
            Fail(AtaError.Uncorrectable);
            return;
        }
        data.CopyTo(_buffer);
        Advance(sectors);
        Offer(sectors * SectorBytes);
        SetInterrupt(true);
    }

    /// <summary>The host has read the whole block.</summary>
    private void BlockRead()
    {
        if (_state.Remaining == 0)
        {
            _state.Status = AtaStatus.Idle;
            return;
        }
        _state.Status = AtaStatus.Busy;
        Schedule(AtaStep.ReadBlock, StepNs + (ulong)(BlockSectors() * SectorBytes) * NsPerByte);
    }

    private void WriteBlock()
    {
        int sectors = _state.BlockBytes / SectorBytes;
        if (Put(_buffer.AsSpan(0, _state.BlockBytes)) is var error and not AtaError.None)
        {
            Fail(error);
            return;
        }
        Advance(sectors);
        if (_state.Remaining == 0)
        {
            Finish(AtaError.None);
            return;
        }
        if (BlockSectors() == 0)
        {
            Fail(AtaError.IdNotFound);
            return;
        }
        Offer(BlockSectors() * SectorBytes);
        SetInterrupt(true);
    }

    private void Verify()
    {
        while (_state.Remaining > 0)
        {
            int sectors = (int)Math.Min(Math.Min(DmaChunkSectors, _state.Remaining), _store.SectorCount - _state.Lba);
            if (sectors == 0)
            {
                Fail(AtaError.IdNotFound);
                return;
            }
            if (Read(_chunk.AsSpan(0, sectors * SectorBytes)) != BlockResult.Ok)
            {
                Fail(AtaError.Uncorrectable);
                return;
            }
            Advance(sectors);
        }
        Finish(AtaError.None);
    }

    /// <summary>Moves all data of a DMA command in one step, at its completion position.</summary>
    private void MoveDma()
    {
        BusMasterChannel busMaster = BusMaster!;
        bool toMemory = _state.Writing == 0;
        switch (busMaster.Prepare(toMemory, (long)_state.Remaining * SectorBytes))
        {
            case PrdFit.TooShort:
                // The controller has stopped and the disk still wants to move data: no interrupt (BMIDE 1.0, 3.1).
                _state.WaitsForBusMaster = 1;
                return;
            case PrdFit.Invalid:
                Finish(AtaError.Aborted);
                return;
        }
        while (_state.Remaining > 0)
        {
            int sectors = Math.Min(DmaChunkSectors, _state.Remaining);
            Span<byte> data = _chunk.AsSpan(0, sectors * SectorBytes);
            byte error;
            if (toMemory)
            {
                error = Read(data) == BlockResult.Ok ? AtaError.None : AtaError.Uncorrectable;
                if (error == AtaError.None) busMaster.ToMemory(data);
            }
            else
            {
                busMaster.FromMemory(data);
                error = Put(data);
            }
            if (error != AtaError.None)
            {
                Fail(error);
                return;
            }
            Advance(sectors);
        }
        busMaster.Complete();
        Finish(AtaError.None);
    }

    private BlockResult Read(Span<byte> data) => IsGiven(out BlockResult given) ? given : Note(_store.Read(_state.Lba, data));

    private BlockResult Flush() => IsGiven(out BlockResult given) ? given : Note(_store.Flush());

    /// <summary>Counts a request; true when an input has said how it ends.</summary>
    private bool IsGiven(out BlockResult result)
    {
        _state.Requests++;
        result = (BlockResult)_state.GivenResult;
        if (_state.GivenRequest != _state.Requests) return false;
        (_state.GivenRequest, _state.GivenResult) = (0, 0);
        return true;
    }

    private BlockResult Note(BlockResult result)
    {
        if (result == BlockResult.IoError) _observer?.Failed(_number, _state.Requests);
        return result;
    }

    /// <summary>Writes at the current sector and tells the observer.</summary>
    /// <returns>What goes into the error register.</returns>
    private byte Put(ReadOnlySpan<byte> data)
    {
        switch (IsGiven(out BlockResult given) ? given : Note(_store.Write(_state.Lba, data)))
        {
            case BlockResult.Ok:
                _observer?.Written(_number, _state.Lba, data);
                return AtaError.None;
            case BlockResult.ReadOnly: return AtaError.Aborted;
            default: return AtaError.IdNotFound;    // ATA-6 has no other bit for a failed write
        }
    }

    /// <summary>The registers follow the command: last sector moved, sectors left (ATA-1 to -3; later "na").</summary>
    private void Advance(int sectors)
    {
        PutAddress(_state.Lba + sectors - 1);
        _state.Lba += sectors;
        _state.Remaining -= sectors;
        _state.Count = new() { Current = (byte)_state.Remaining, Previous = _state.Lba48 != 0 ? (byte)(_state.Remaining >> 8) : _state.Count.Previous };
    }

    /// <summary>Ends a data command at its current sector, whose address the host finds in the registers.</summary>
    private void Fail(byte error)
    {
        PutAddress(_state.Lba);
        _state.Remaining = 0;
        Finish(error);
    }

    private byte SetFeatures()
    {
        switch (_state.Features)
        {
            case 0x02: _state.WriteCache = 1; return AtaError.None;
            case 0x82: _state.WriteCache = 0; return AtaError.None;
            case 0xaa: _state.LookAhead = 1; return AtaError.None;
            case 0x55: _state.LookAhead = 0; return AtaError.None;
            case 0x66 or 0xcc: return AtaError.None;                 // defaults after a software reset: there are none to keep
            case 0x03:
                byte mode = _state.Count.Current;
                if (mode is 0x00 or 0x01 or (>= 0x08 and <= 0x0c)) return AtaError.None;
                if (mode is not ((>= 0x20 and <= 0x22) or (>= 0x40 and <= 0x42))) return AtaError.Aborted;
                _state.TransferMode = mode;
                return AtaError.None;
            default: return AtaError.Aborted;
        }
    }

    private byte SetMultiple()
    {
        byte count = _state.Count.Current;
        if (count > AtaIdentify.MultipleMax || (count & (count - 1)) != 0) return AtaError.Aborted;
        _state.MultipleCount = count;
        return AtaError.None;
    }

    /// <summary>INITIALIZE DEVICE PARAMETERS.</summary>
    private byte SetGeometry()
    {
        if (_state.Count.Current == 0) return AtaError.Aborted;
        _state.Heads = (ushort)((_state.Device & 0x0f) + 1);
        _state.SectorsPerTrack = _state.Count.Current;
        return AtaError.None;
    }

    private byte ReadNativeMax(bool lba48)
    {
        if ((_state.Device & 0x40) == 0) return AtaError.Aborted;
        _state.Lba48 = lba48 ? (byte)1 : (byte)0;
        PutAddress(lba48 ? _store.SectorCount - 1 : Math.Min(_store.SectorCount, 0x0fffffff) - 1);
        return AtaError.None;
    }

    private byte Seek() => TakeAddress(lba48: false) ? AtaError.None : AtaError.IdNotFound;

    private byte SetStandby(byte standby)
    {
        _state.Standby = standby;
        return AtaError.None;
    }

    private byte CheckPower()
    {
        _state.Count.Current = _state.Standby != 0 ? (byte)0x00 : (byte)0xff;
        return AtaError.None;
    }

    /// <summary>Ends a command without data, a little later.</summary>
    private void End(byte error)
    {
        _state.PendingError = error;
        Schedule(AtaStep.Complete, StepNs);
    }

    private void Finish(byte error)
    {
        if (error != AtaError.None) _state.Error = error;
        _state.Status = error == AtaError.None ? AtaStatus.Idle : (byte)(AtaStatus.Idle | AtaStatus.Error);
        _state.Writing = 0;
        SetInterrupt(true);
    }

    /// <summary>What a reset or diagnostic leaves in the registers: an ATA device that passed (ATA-6, 9.12).</summary>
    private void PutSignature()
    {
        _state.Count = new() { Current = 1 };
        _state.Low = new() { Current = 1 };
        _state.Mid = default;
        _state.High = default;
        _state.Device &= 0x10;
        _state.Error = AtaError.DiagnosticPassed;
        _state.Status = AtaStatus.Idle;
        _state.Step = AtaStep.None;
        _state.WaitsForBusMaster = 0;
        _state.Writing = 0;
        _state.Remaining = 0;
        _state.BlockBytes = 0;
        _state.BlockPosition = 0;
    }

    private void Schedule(AtaStep step, ulong delayNs)
    {
        _state.Step = step;
        _event.At(_clock.NowNs + delayNs);
    }

    private void SetInterrupt(bool level)
    {
        _state.Interrupt = level ? (byte)1 : (byte)0;
        InterruptChanged?.Invoke();
    }
}
