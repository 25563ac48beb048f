// An ATAPI CD-ROM drive behind a task file: registers, the PACKET protocol with PIO and DMA data phases (ATA/ATAPI-6, T13/1410D,
// 9.8 to 9.10). What the packets mean is CdCommands' business; what lies in the tray comes from an IMediumStore.
using System.Text;
using Emu86.Chipset;
using Emu86.Cpu;

namespace Emu86.Devices.Ide;

/// <summary>One CD-ROM drive. It is always part of an <see cref="IdeChannel"/>, which decides which registers it sees.</summary>
public sealed class AtapiDrive : IIdeDrive
{
    /// <summary>Additional sense code of the unit attention after a change.</summary>
    internal const byte MediumMayHaveChanged = 0x28;

    private const byte WasReset = 0x29;
    private const int PacketBytes = 12;
    private const int ByteLimitMax = 0xfffe;

    /// <summary>Sectors read from the store at once.</summary>
    private const int BufferSectors = 16;

    /// <summary>From a packet to its data, apart from the transfer itself.</summary>
    private const ulong AccessNs = 100_000;

    /// <summary>From one PIO block to the next, to the packet, and for commands without data.</summary>
    private const ulong StepNs = 5_000;

    private const ulong ResetNs = 100_000;

    /// <summary>20 MB/s.</summary>
    private const ulong NsPerByte = 50;

    private readonly int _number;
    private readonly IMediumStore _media;
    private readonly Clock _clock;
    private readonly IDiskWriteObserver? _observer;
    private readonly ScheduledEvent _event;
    private readonly byte[] _buffer = new byte[BufferSectors * Ide.Medium.SectorBytes];
    private readonly byte[] _path = new byte[Ide.Medium.PathBytesMax];
    private AtapiDriveState _state;
    private Medium? _medium;

    /// <param name="number">0 to 3: channel × 2 + position on the cable.</param>
    /// <param name="media">Where contents come from.</param>
    /// <param name="medium">What lies in it at power-on; null: nothing.</param>
    /// <param name="clock">Of the machine.</param>
    /// <param name="events">Of the machine.</param>
    /// <param name="observer">Told of what the store could not do.</param>
    public AtapiDrive(int number, IMediumStore media, Medium? medium, Clock clock, EventQueue events, IDiskWriteObserver? observer)
    {
        Check.That(number is >= 0 and <= 3);
        _number = number;
        _media = media;
        _clock = clock;
        _observer = observer;
        _event = events.Register($"ide.drive{number}", Fire);
        PutMedium(medium);
        Reset();
    }

    public string StateName => $"ide.cdrom{_number}";

    public int StateVersion => 1;

    public int Position => _number & 1;

    public Action? InterruptChanged { get; set; }

    public BusMasterChannel? BusMaster { get; set; }

    public bool Interrupt => _state.Interrupt != 0;

    public byte Status => _state.Status;

    public bool HasGiven => _state.GivenRequest != 0;

    /// <summary>What lies in the tray, open or not; null: nothing.</summary>
    public Medium? Medium => _medium;

    /// <summary>The guest prevents removal.</summary>
    public bool IsLocked => _state.Cd.Locked != 0;

    private bool Busy => (_state.Status & AtaStatus.Busy) != 0;

    private bool Requesting => (_state.Status & AtaStatus.DataRequest) != 0;

    /// <summary>Power-on or hardware reset: the medium stays.</summary>
    public void Reset()
    {
        _event.Cancel();
        _state = new()
        {
            Requests = _state.Requests,
            GivenRequest = _state.GivenRequest,
            GivenResult = _state.GivenResult,
            TransferMode = 0x22,
            Cd = new()
            {
                MediumBytes = _state.Cd.MediumBytes,
                MediumHash = _state.Cd.MediumHash,
                PathBytes = _state.Cd.PathBytes,
                TrayOpen = _state.Cd.TrayOpen,
                Attention = WasReset,
            },
        };
        Array.Clear(_buffer);
        PutSignature();
    }

    public void Save(ref StateWriter writer)
    {
        writer.Struct(_state);
        writer.Bytes(_path);
        writer.Bytes(_buffer);
    }

    public void Load(ref StateReader reader)
    {
        AtapiDriveState state = reader.Struct<AtapiDriveState>();
        if (state.Cd.PathBytes < 0 || state.Cd.PathBytes > _path.Length || state.Cd.MediumBytes < 0) throw new StateFormatException($"the CD-ROM drive's medium has {state.Cd.MediumBytes} bytes and a path of {state.Cd.PathBytes}");
        if (!Fits(state)) throw new StateFormatException("the CD-ROM drive has more data than its buffer holds");
        _state = state;
        reader.Bytes(_path);
        reader.Bytes(_buffer);
        _medium = state.Cd.MediumBytes == 0 ? null : new Medium(state.Cd.MediumBytes, state.Cd.MediumHash, Encoding.UTF8.GetString(_path, 0, state.Cd.PathBytes));
    }

    /// <summary>An input: another medium in the tray, or none; the tray is closed. A store that has no such content is reported as a failed request.</summary>
    public void Change(Medium? medium)
    {
        _state.Requests++;
        if (medium is not null && _media.Open(medium) != BlockResult.Ok) _observer?.Failed(_number, _state.Requests);
        bool had = _state.Cd.HasMedium;
        PutMedium(medium);
        _state.Cd.TrayOpen = 0;
        _state.Cd.Locked = 0;
        if (medium is not null) (_state.Cd.Attention, _state.Cd.MediaEvent) = (MediumMayHaveChanged, MediaEvent.NewMedia);
        else if (had) _state.Cd.MediaEvent = MediaEvent.Removal;
    }

    public void Give(ulong request, BlockResult result) => (_state.GivenRequest, _state.GivenResult) = (request, (byte)result);

    public byte ReadRegister(int register, bool previous)
    {
        switch (register)
        {
            case 1: return _state.Error;
            case 2: return _state.Count;
            case 3: return _state.Low;
            case 4: return _state.Mid;
            case 5: return _state.High;
            case 6: return (byte)(_state.Device | 0xa0);
            default:
                SetInterrupt(false);
                return _state.Status;
        }
    }

    public void WriteRegister(int register, byte value)
    {
        if (Busy) return;
        switch (register)
        {
            case 1: _state.Features = value; break;
            case 2: _state.Count = value; break;
            case 3: _state.Low = value; break;
            case 4: _state.Mid = value; break;
            case 5: _state.High = value; break;
            case 6: _state.Device = value; break;
        }
    }

    public void BeginSoftReset()
    {
        Drop();
        _state.Status = AtaStatus.Busy;
        SetInterrupt(false);
    }

    public void EndSoftReset() => Schedule(AtapiStep.Reset, ResetNs);

    public void Diagnose()
    {
        if (Busy) return;
        PutSignature();
        SetInterrupt(Position == 0);
    }

    public uint ReadData(int size)
    {
        if (!Requesting || _state.TakesPacket != 0) return size == 1 ? 0xff : size == 2 ? 0xffff : 0xffffffff;
        uint value = 0;
        for (int i = 0; i < size && _state.Moved < _state.Offered; i++) value |= (uint)_buffer[_state.Moved++] << (8 * i);
        if (_state.Moved == _state.Offered) BlockRead();
        return value;
    }

    public void WriteData(int size, uint value)
    {
        if (!Requesting || _state.TakesPacket == 0) return;
        for (int i = 0; i < size && _state.Moved < PacketBytes; i++) _buffer[_state.Moved++] = (byte)(value >> (8 * i));
        if (_state.Moved == PacketBytes) TakePacket();
    }

    public void BusMasterStarted()
    {
        if (_state.WaitsForBusMaster == 0) return;
        _state.WaitsForBusMaster = 0;
        Schedule(AtapiStep.Dma, AccessNs + (ulong)DmaBytes * NsPerByte);
    }

    public void BusMasterStopped()
    {
        if (_state.Step != AtapiStep.Dma) return;
        _event.Cancel();
        _state.Step = AtapiStep.None;
        _state.WaitsForBusMaster = 1;
    }

    public void Execute(byte command)
    {
        if (command == 0x08)                            // DEVICE RESET is heard while busy, too
        {
            Drop();
            _state.Status = AtaStatus.Busy;
            SetInterrupt(false);
            Schedule(AtapiStep.Reset, ResetNs);
            return;
        }
        if (Busy || Requesting) return;
        _state.Error = 0;
        _state.Status = AtaStatus.Busy;
        SetInterrupt(false);
        switch (command)
        {
            case 0xa0: BeginPacket(); break;
            case 0xa1: Schedule(AtapiStep.Identify, AccessNs); break;
            case 0xef: End(SetFeatures()); break;
            case 0xe0 or 0x94 or 0xe2 or 0x96 or 0xe6 or 0x99: End(SetStandby(1)); break;
            case 0xe1 or 0x95 or 0xe3 or 0x97: End(SetStandby(0)); break;
            case 0xe5 or 0x98:
                _state.Count = _state.Standby != 0 ? (byte)0x00 : (byte)0xff;
                End(AtaError.None);
                break;
            case 0xec or 0x20 or 0x21:
                // By the signature a host knows that it has no disk before it (9.12).
                PutAddressSignature();
                End(AtaError.Aborted);
                break;
            default: End(AtaError.Aborted); break;
        }
    }

    /// <summary>What a state's counters must keep to, since they index the buffer.</summary>
    private static bool Fits(in AtapiDriveState state) =>
        state.BufferBytes is >= 0 and <= BufferSectors * Ide.Medium.SectorBytes && state.Offered >= 0 && state.Offered <= Math.Max(state.BufferBytes, PacketBytes)
        && state.Moved >= 0 && state.Moved <= state.Offered && state.SectorsLeft >= 0 && state.Sector >= 0;

    private void PutMedium(Medium? medium)
    {
        _medium = medium;
        _state.Cd.MediumBytes = medium?.Bytes ?? 0;
        _state.Cd.MediumHash = medium?.Hash ?? 0;
        Array.Clear(_path);
        _state.Cd.PathBytes = medium is null ? 0 : Encoding.UTF8.GetBytes(medium.Path, _path);
    }

    private void Fire()
    {
        AtapiStep step = _state.Step;
        _state.Step = AtapiStep.None;
        switch (step)
        {
            case AtapiStep.Complete: Finish(_state.PendingError); break;
            case AtapiStep.Identify:
                AtapiIdentify.Fill(_buffer.AsSpan(0, 512), _state, _number, Position);
                _state.BufferBytes = 512;
                _state.ByteLimit = 512;
                _state.Identifying = 1;
                _state.SectorsLeft = 0;
                _state.Offered = 0;
                OfferBlock();
                break;
            case AtapiStep.Packet:
                _state.TakesPacket = 1;
                _state.Moved = 0;
                _state.Offered = PacketBytes;
                _state.Count = InterruptReason.Packet;
                _state.Status = AtaStatus.Idle | AtaStatus.DataRequest;
                break;
            case AtapiStep.Data:
                if (_state.BufferBytes > _state.Offered || Fill()) OfferBlock();
                else EndPacket();
                break;
            case AtapiStep.Dma: MoveDma(); break;
            case AtapiStep.Reset: PutSignature(); break;
            default: Check.Fail($"drive {_number}: an event without a step"); break;
        }
    }

    private void BeginPacket()
    {
        _state.Dma = (byte)(_state.Features & 1);
        if ((_state.Features & 2) != 0 || (_state.Dma != 0 && BusMaster is null))
        {
            End(AtaError.Aborted);                      // no overlapped commands
            return;
        }
        int limit = _state.Mid | (_state.High << 8);
        _state.ByteLimit = limit is 0 or > ByteLimitMax ? ByteLimitMax : limit;
        _state.Standby = 0;
        Schedule(AtapiStep.Packet, StepNs);
    }

    private void TakePacket()
    {
        Span<byte> packet = stackalloc byte[PacketBytes];
        _buffer.AsSpan(0, PacketBytes).CopyTo(packet);
        _state.TakesPacket = 0;
        _state.Status = AtaStatus.Busy;
        _state.Moved = 0;
        _state.Offered = 0;
        _state.PendingError = AtaError.None;
        CdReply reply = CdCommands.Do(ref _state.Cd, packet, _buffer);
        (_state.BufferBytes, _state.Sector, _state.SectorsLeft) = (reply.Bytes, reply.Sector, reply.Sectors);
        if (reply.Sense.Key != SenseKey.None) Fail(reply.Sense);
        bool hasData = _state.BufferBytes > 0 || _state.SectorsLeft > 0;
        if (!hasData) Schedule(AtapiStep.Data, StepNs);
        else if (_state.Dma == 0) Schedule(AtapiStep.Data, AccessNs + (ulong)FirstBytes() * NsPerByte);
        else
        {
            _state.WaitsForBusMaster = 1;
            if (BusMaster!.Started) BusMasterStarted();
        }
    }

    private long DmaBytes => _state.BufferBytes + _state.SectorsLeft * Ide.Medium.SectorBytes;

    private long FirstBytes() => Math.Min(_state.ByteLimit, _state.BufferBytes > 0 ? _state.BufferBytes : Math.Min(_state.SectorsLeft, BufferSectors) * Ide.Medium.SectorBytes);

    /// <summary>The command ends in this, and REQUEST SENSE will say so.</summary>
    private void Fail(Sense sense)
    {
        _state.Cd.Sense = sense;
        _state.PendingError = (byte)((sense.Key << 4) | AtaError.Aborted);
        _state.BufferBytes = 0;
        _state.SectorsLeft = 0;
    }

    /// <summary>Brings the next sectors of a READ into the buffer.</summary>
    /// <returns>False when there are none, or they cannot be read: then the command has failed.</returns>
    private bool Fill()
    {
        _state.BufferBytes = 0;
        _state.Offered = 0;
        _state.Moved = 0;
        int sectors = (int)Math.Min(_state.SectorsLeft, BufferSectors);
        if (sectors == 0) return false;
        int bytes = sectors * Ide.Medium.SectorBytes;
        if (!Read(_buffer.AsSpan(0, bytes))) return false;
        _state.Sector += sectors;
        _state.SectorsLeft -= sectors;
        _state.BufferBytes = bytes;
        return true;
    }

    private bool Read(Span<byte> data)
    {
        _state.Requests++;
        BlockResult result;
        if (_state.GivenRequest == _state.Requests)
        {
            result = (BlockResult)_state.GivenResult;
            (_state.GivenRequest, _state.GivenResult) = (0, 0);
        }
        // The tray may have been opened, or the medium changed, since the command began.
        else if (_medium is not { } medium || _state.Cd.TrayOpen != 0 || _state.Sector + (data.Length / Ide.Medium.SectorBytes) > _state.Cd.Sectors)
        {
            Fail(new Sense(SenseKey.NotReady, 0x3a));
            return false;
        }
        else
        {
            result = _media.Read(medium, _state.Sector, data);
            if (result != BlockResult.Ok) _observer?.Failed(_number, _state.Requests);
        }
        if (result == BlockResult.Ok) return true;
        Fail(new Sense(SenseKey.MediumError, 0x11));    // unrecovered read error
        return false;
    }

    private void OfferBlock()
    {
        int limit = _state.ByteLimit;
        int bytes = _state.BufferBytes - _state.Offered;
        // A block that is not the last has an even number of bytes (9.8).
        if (bytes > limit) bytes = Math.Max(limit & ~1, 2);
        _state.Moved = _state.Offered;
        _state.Offered += bytes;
        _state.Mid = (byte)bytes;
        _state.High = (byte)(bytes >> 8);
        _state.Count = InterruptReason.ToHost;
        _state.Status = AtaStatus.Idle | AtaStatus.DataRequest;
        SetInterrupt(true);
    }

    /// <summary>The host has read the whole block.</summary>
    private void BlockRead()
    {
        if (_state.Identifying != 0)
        {
            _state.Identifying = 0;
            _state.Status = AtaStatus.Idle;             // IDENTIFY ends without a further interrupt
            return;
        }
        _state.Status = AtaStatus.Busy;
        long next = _state.BufferBytes > _state.Offered ? _state.BufferBytes - _state.Offered : Math.Min(_state.SectorsLeft, BufferSectors) * Ide.Medium.SectorBytes;
        Schedule(AtapiStep.Data, StepNs + (ulong)Math.Min(next, _state.ByteLimit) * NsPerByte);
    }

    /// <summary>Moves all data of a DMA command in one step, at its completion position.</summary>
    private void MoveDma()
    {
        BusMasterChannel busMaster = BusMaster!;
        switch (busMaster.Prepare(toMemory: true, DmaBytes))
        {
            case PrdFit.TooShort:
                // The controller has stopped and the drive still wants to move data: no interrupt (BMIDE 1.0, 3.1).
                _state.WaitsForBusMaster = 1;
                return;
            case PrdFit.Invalid:
                _state.PendingError = AtaError.Aborted;
                EndPacket();
                return;
        }
        do
        {
            busMaster.ToMemory(_buffer.AsSpan(0, _state.BufferBytes));
        }
        while (Fill());
        if (_state.PendingError == AtaError.None) busMaster.Complete();
        EndPacket();
    }

    private void EndPacket()
    {
        _state.Count = InterruptReason.Status;
        Finish(_state.PendingError);
    }

    private byte SetFeatures()
    {
        if (_state.Features is 0x66 or 0xcc) return AtaError.None;
        if (_state.Features != 0x03) return AtaError.Aborted;
        if (_state.Count is 0x00 or 0x01 or (>= 0x08 and <= 0x0c)) return AtaError.None;
        if (_state.Count is not ((>= 0x20 and <= 0x22) or (>= 0x40 and <= 0x42))) return AtaError.Aborted;
        _state.TransferMode = _state.Count;
        return AtaError.None;
    }

    private byte SetStandby(byte standby)
    {
        _state.Standby = standby;
        return AtaError.None;
    }

    /// <summary>Ends a command without data, a little later.</summary>
    private void End(byte error)
    {
        _state.PendingError = error;
        Schedule(AtapiStep.Complete, StepNs);
    }

    private void Finish(byte error)
    {
        _state.Error = error;
        _state.Status = error == AtaError.None ? AtaStatus.Idle : (byte)(AtaStatus.Idle | AtaStatus.Error);
        SetInterrupt(true);
    }

    private void Drop()
    {
        _event.Cancel();
        _state.Step = AtapiStep.None;
        _state.WaitsForBusMaster = 0;
        _state.TakesPacket = 0;
        _state.Identifying = 0;
        _state.BufferBytes = 0;
        _state.Offered = 0;
        _state.Moved = 0;
        _state.SectorsLeft = 0;
    }

    /// <summary>What a reset or diagnostic leaves in the registers: a packet device that passed, and is not "ready" (9.12).</summary>
    private void PutSignature()
    {
        Drop();
        PutAddressSignature();
        _state.Device &= 0x10;
        _state.Error = AtaError.DiagnosticPassed;
        _state.Status = 0;
    }

    private void PutAddressSignature() => (_state.Count, _state.Low, _state.Mid, _state.High) = (1, 1, 0x14, 0xeb);

    private void Schedule(AtapiStep step, ulong delayNs)
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
