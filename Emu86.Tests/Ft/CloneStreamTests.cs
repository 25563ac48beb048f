// A running machine streamed to a candidate over a real connection: whole while the guest writes, and harmless when it is cut.
using System.Net;
using System.Net.Sockets;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;
using Emu86.Ft.Run.Pair;
using Emu86.Tests.Determinism;

namespace Emu86.Tests.Ft;

public sealed class CloneStreamTests : IDisposable
{
    private const int Sectors = 8192;

    private static readonly ProtocolOptions Protocol = new();
    private static readonly Guid DiskId = new(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);

    private readonly string _folder = Directory.CreateTempSubdirectory("emu86-clone").FullName;
    private readonly MemoryDisk _disk = MemoryDisk.WithPattern(Sectors), _undisturbedDisk = MemoryDisk.WithPattern(Sectors);
    private readonly SnapshotDisk _drive;
    private readonly Machine _machine, _undisturbed;

    public CloneStreamTests()
    {
        _drive = new SnapshotDisk(_disk, _folder);
        _machine = new Machine(ChaosGuest.Config(Sectors), [_drive, null, null, null], new OutputList());
        _undisturbed = new Machine(ChaosGuest.Config(Sectors), [_undisturbedDisk, null, null, null], new OutputList());
    }

    public void Dispose()
    {
        _machine.Dispose();
        _undisturbed.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_clone_is_the_machine_and_its_disk_at_the_freeze_though_both_are_written_all_the_time()
    {
        Run(_machine, 30_000);
        for (int n = 0; n < 3; n++)
        {
            using Candidate candidate = new(this, cutAfter: int.MaxValue);
            UInt128 hash = Clone(candidate);
            using Machine clone = candidate.Receiver!.Load();
            Assert.Equal(hash, clone.StateHash());
            candidate.Receiver.MarkCurrent();
            candidate.Receiver.Dispose();
            Assert.Equal(candidate.DiskAtFreeze, File.ReadAllBytes(ImagePath));
            AssertUndisturbed();
        }
    }

    [Fact]
    public void A_clone_that_is_cut_at_any_record_leaves_the_machine_as_it_was()
    {
        Run(_machine, 30_000);
        for (int records = 0; ; records++)
        {
            // Another image each time: else the disk's blocks would be there already.
            File.Delete(ImagePath);
            File.Delete(ImagePath + ".emu86");
            using Candidate candidate = new(this, records);
            UInt128 hash = Clone(candidate);
            Assert.Null(_machine.Board.Memory.Keeper);
            if (records % 5 == 0) AssertUndisturbed();
            Assert.InRange(candidate.Taken, 0, records);
            if (candidate.IsClosed) continue;
            // So many records it does not have: this one is whole.
            Assert.InRange(records, Sectors * 512 / SnapshotDisk.BlockBytes, 1000);
            using Machine clone = candidate.Receiver!.Load();
            Assert.Equal(hash, clone.StateHash());
            break;
        }
        AssertUndisturbed();
    }

    private string ImagePath => Path.Combine(_folder, "copy.img");

    private static void Run(Machine machine, ulong instructions)
    {
        ulong count = machine.Position.Count + instructions;
        Assert.Equal(StopReason.Limit, machine.RunUntil(new Position(count, 0)));
    }

    private void AssertUndisturbed()
    {
        _undisturbed.RunUntil(_machine.Position);
        Assert.Equal(_undisturbed.Position, _machine.Position);
        Assert.Equal(_undisturbed.StateHash(), _machine.StateHash());
        Assert.Equal(_undisturbedDisk.Bytes, _disk.Bytes);
    }

    // As the primary does it: the guest runs on, until the stream has ended or the connection is closed. The hash at the freeze.
    private UInt128 Clone(Candidate candidate)
    {
        using CloneSender sender = candidate.Sender = new CloneSender(candidate.Outgoing, _machine, [_drive, null, null, null], _folder);
        bool hasEnded = false;
        string? problem = null;
        sender.Start(p =>
        {
            problem = p;
            Volatile.Write(ref hasEnded, true);
        });
        var random = new Random(candidate.Taken);
        byte[] sector = new byte[512];
        UInt128 hash = 0;
        while (!Volatile.Read(ref hasEnded) && !candidate.IsClosed)
        {
            Run(_machine, 2_000);
            // The same on the other machine's disk, for the comparison; the guest never reads what is written here.
            random.NextBytes(sector);
            long lba = random.Next(Sectors / 2, Sectors);
            _drive.Write(lba, sector);
            _undisturbedDisk.Write(lba, sector);
            if (sender.Rehearse() || !sender.IsReady) continue;
            _machine.Settle();
            sender.Freeze();
            candidate.DiskAtFreeze = [.. _disk.Bytes];
            sender.GoOn();
        }
        if (Volatile.Read(ref hasEnded) && problem is null)
        {
            hash = sender.StateHash;
            sender.ReturnHashes();
            candidate.WaitForAll();
        }
        return hash;
    }

    /// <summary>The other end: takes so many records of the clone, then the connection breaks.</summary>
    private sealed class Candidate : IDisposable
    {
        private readonly CloneStreamTests _test;
        private readonly int _cutAfter;
        private readonly Link _incoming;
        private readonly ManualResetEventSlim _welcome = new(), _all = new();
        private volatile bool _isClosed;

        public Candidate(CloneStreamTests test, int cutAfter)
        {
            (_test, _cutAfter) = (test, cutAfter);
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            client.Connect(listener.LocalEndpoint);
            _incoming = new Link(1, ChannelOn(listener.AcceptSocket()), isServer: true, Received, (_, _) => _isClosed = true);
            Outgoing = new Link(2, ChannelOn(client), isServer: false, Answered, (_, _) => _isClosed = true);
            _incoming.Start();
            Outgoing.Start();
            var identity = new MachineIdentity("default", Guid.NewGuid(), Identities.ConfigurationHash(test._machine.Config, Protocol), "file:x", [new DiskIdentity("hda", DiskId)]);
            Outgoing.Send(new HelloMessage(new Hello(identity, 1, 7, false, default)));
            Outgoing.Flush();
            Assert.True(_welcome.Wait(10_000));
        }

        public Link Outgoing { get; }

        private static Channel ChannelOn(Socket socket) => new(socket, (IPEndPoint)socket.RemoteEndPoint!);

        public CloneSender? Sender { get; set; }

        public CloneReceiver? Receiver { get; private set; }

        public byte[] DiskAtFreeze { get; set; } = [];

        public int Taken { get; private set; }

        public bool IsClosed => _isClosed;

        /// <summary>All that was sent has been taken.</summary>
        public void WaitForAll()
        {
            Outgoing.Send(new CloneEndMessage(default, 0, 0, 1));
            Outgoing.Flush();
            Assert.True(_all.Wait(10_000));
        }

        public void Dispose()
        {
            Outgoing.Dispose();
            _incoming.Dispose();
            Receiver?.Dispose();
        }

        private void Received(Link link, Message message)
        {
            if (message is HelloMessage { Hello: var hello })
            {
                var options = new RunOptions { Disks = [new DiskOption(_test.ImagePath, false), null, null, null], StateDir = _test._folder };
                Receiver = new CloneReceiver(options, hello, Protocol, link, config => new Machine(config, Receiver!.Disks, new OutputList()));
                link.Send(new WelcomeMessage(hello.SessionId, 0, Guid.NewGuid(), ""));
                link.Flush();
                // None of the clone's records.
                if (_cutAfter == 0) Cut(link);
                return;
            }
            if (_isClosed) return;
            if (message is CloneEndMessage)
            {
                _all.Set();
                return;
            }
            Receiver!.Take(message);
            link.Flush();
            link.Consumed(message);
            if (++Taken == _cutAfter) Cut(link);
        }

        private void Answered(Link link, Message message)
        {
            if (message is WelcomeMessage) _welcome.Set();
            if (message is CloneDiskWantMessage wanted) Sender?.Wanted(wanted);
            link.Consumed(message);
        }

        private void Cut(Link link)
        {
            _isClosed = true;
            _all.Set();
            link.Dispose();
        }
    }
}
