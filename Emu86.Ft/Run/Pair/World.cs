// The host world of a live side: serial port, network, views. A side that goes live opens it then, and does not wait for it.
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Net;

namespace Emu86.Ft.Run.Pair;

/// <summary>Opens what the options name. What cannot be opened at go-live is tried again; frames wait for it, bounded.</summary>
internal sealed class World : IDisposable
{
    private const int RetryMs = 200;

    private readonly InputQueue _inputs;
    private readonly LateNetwork? _network;
    private readonly ISerialTarget _serial;
    private readonly WorldOutputs _outputs;

    private World(RunOptions options, InputQueue inputs, ISerialTarget serial, LateNetwork? network)
    {
        _inputs = inputs;
        _serial = serial;
        _network = network;
        _outputs = new WorldOutputs(options, serial, network);
    }

    /// <summary>Output of the guest that had left was lost on this host (<see cref="ISerialTarget.HasFailed"/>).</summary>
    public bool HasFailed => _serial.HasFailed;

    /// <summary>Everything must open now. Throws <see cref="HostException"/>.</summary>
    public static World Open(RunOptions options, InputQueue inputs, Report report)
    {
        IHostNetwork? network = Networks.Open(options);
        return new World(options, inputs, SerialTargets.Open(options.Serial, report.Say), network is null ? null : new LateNetwork(network));
    }

    /// <summary>For going live: what fails is said, and tried again on a thread of its own.</summary>
    /// <param name="options">What the guest is to be connected to.</param>
    /// <param name="inputs">Takes what comes from there.</param>
    /// <param name="report">Says what fails.</param>
    /// <param name="plugged">The guest's cable, if it was plugged in before.</param>
    /// <param name="mac">The guest's address.</param>
    /// <param name="epoch">Under which it is live.</param>
    public static World TakeOver(RunOptions options, InputQueue inputs, Report report, IHostNetwork? plugged, byte[] mac, ulong epoch)
    {
        ISerialTarget serial;
        try
        {
            serial = SerialTargets.Open(options.Serial, report.Say);
        }
        catch (HostException e)
        {
            report.Say($"{e.Message}; the guest goes on without its serial port");
            serial = SerialTargets.Open("null", report.Say);
        }
        var world = new World(options, inputs, serial, options.Net == NetKind.None ? null : new LateNetwork(null));
        world._network?.Announce(options.Name, mac, epoch, move: true);
        if (world._network is not null && !world.TryOpenNetwork(options, report, plugged, first: true))
        {
            new Thread(() =>
            {
                while (!world.TryOpenNetwork(options, report, null, first: false)) Thread.Sleep(RetryMs);
            })
            { IsBackground = true, Name = "network retry" }.Start();
        }
        world.Start();
        return world;
    }

    /// <summary>Inputs come from now on.</summary>
    public void Start()
    {
        _network?.StartIfOpen(_inputs.Frame);
        _serial.Start(bytes => _inputs.Put(InputEvent.SerialBytes(0, bytes)));
    }

    public IOutputSink Outputs => _outputs;

    /// <summary>Another epoch is won: a switch drops what a loser still sends under an older one.</summary>
    public void Announce(string guest, byte[] mac, ulong epoch) => _network?.Announce(guest, mac, epoch, move: false);

    public void Flush() => _serial.Flush();

    public void Dispose()
    {
        _serial.Flush();
        _serial.Dispose();
        _network?.Dispose();
    }

    private bool TryOpenNetwork(RunOptions options, Report report, IHostNetwork? plugged, bool first)
    {
        try
        {
            IHostNetwork network = plugged ?? Networks.Open(options)!;
            _network!.Open(network, _inputs.Frame);
            return true;
        }
        catch (HostException e)
        {
            if (first) report.Say($"{e.Message}; trying again");
            return false;
        }
    }

    /// <summary>A network that may come later. Frames sent before are kept, and sent first.</summary>
    private sealed class LateNetwork(IHostNetwork? network) : IHostNetwork
    {
        private const int WaitingMax = 1024;

        private readonly Lock _lock = new();
        private readonly Queue<byte[]> _waiting = new();
        private IHostNetwork? _network = network;
        private bool _isStarted;
        private byte[][] _greeting = [], _moved = [];

        /// <summary>Tells the network under which epoch the guest is live here, and where its address is when it moved.</summary>
        public void Announce(string guest, byte[] mac, ulong epoch, bool move)
        {
            lock (_lock)
            {
                if (move) _moved = GoLiveFrames.Announcement(mac);
                _greeting = [GoLiveFrames.EpochFrame(guest, mac, epoch), .. _moved];
                if (_network is StreamNetwork stream) stream.Greeting = _greeting;
            }
        }

        public void Open(IHostNetwork opened, Action<byte[]> received)
        {
            if (opened is StreamNetwork stream) stream.Greeting = _greeting;
            opened.Start(received);
            lock (_lock)
            {
                _network = opened;
                _isStarted = true;
                if (opened is not StreamNetwork) Array.ForEach(_moved, f => opened.Send(f));
                while (_waiting.TryDequeue(out byte[]? frame)) opened.Send(frame);
            }
        }

        public void StartIfOpen(Action<byte[]> received)
        {
            if (_network is not null && !_isStarted) Start(received);
        }

        public void Start(Action<byte[]> received)
        {
            _isStarted = true;
            _network!.Start(received);
        }

        public void Send(ReadOnlyMemory<byte> frame)
        {
            lock (_lock)
            {
                if (_network is not null) _network.Send(frame);
                else if (_waiting.Count < WaitingMax) _waiting.Enqueue(frame.ToArray());
            }
        }

        public void Dispose() => _network?.Dispose();
    }
}
