// A machine with a person at its serial console: waits for text, types, reads.
using System.Buffers;
using System.Text;
using Emu86.Devices;
using Emu86.Ft.Cli;
using Emu86.Ft.Host;
using Emu86.Ft.Run;

namespace Emu86.Tests.Guests;

/// <summary>Runs a machine with a fixed clock in this process.</summary>
internal sealed class GuestConsole : IOutputSink, IDisposable
{
    private readonly StringBuilder _text = new();
    private readonly IBlockStore?[] _disks;
    private readonly MediaLibrary _media;
    private readonly ulong _slice;
    private int _seen;

    public GuestConsole(RunOptions options)
    {
        _slice = options.Slice;
        _disks = MachineBuilder.OpenDisks(options);
        _media = new MediaLibrary(options.Cdrom);
        Machine = MachineBuilder.Build(MachineBuilder.Configure(options, _disks, _media), _disks, this, options.Engine, _media);
    }

    public Machine Machine { get; }

    public ulong Count => Machine.Position.Count;

    /// <summary>All that COM1 said so far.</summary>
    public string Text => _text.ToString();

    /// <summary>What the display shows, line by line.</summary>
    public string Screen => Machine.Board.Vga.Capture().ToString();

    public void Emit(Output output)
    {
        if (output is { Kind: OutputKind.SerialByte, Unit: 0 }) _text.Append((char)output.Value);
    }

    /// <summary>Runs until COM1 said <paramref name="text"/> after what was waited for before.</summary>
    public void WaitFor(string text, ulong atMostInstructions)
    {
        ulong end = Count + atMostInstructions;
        var reason = StopReason.Limit;
        int at;
        while ((at = _text.ToString(_seen, _text.Length - _seen).IndexOf(text, StringComparison.Ordinal)) < 0)
        {
            Assert.True(reason == StopReason.Limit, $"the guest should print \"{text}\", but it is {reason}; it printed: {Text[_seen..]}");
            Assert.True(Count < end, $"the guest should print \"{text}\" within {atMostInstructions} instructions; it printed: {Text[_seen..]}");
            reason = Machine.RunUntil(new Position(Count + _slice, 0));
        }
        _seen += at + text.Length;
    }

    /// <summary>Runs until the display shows <paramref name="text"/>.</summary>
    public void WaitForScreen(string text, ulong atMostInstructions)
    {
        ulong end = Count + atMostInstructions;
        while (!Screen.Contains(text, StringComparison.Ordinal))
        {
            Assert.True(Count < end, $"the display should show \"{text}\" within {atMostInstructions} instructions; it shows: {Screen}");
            Assert.Equal(StopReason.Limit, Machine.RunUntil(new Position(Count + _slice, 0)));
        }
    }

    /// <summary>Types a line at COM1.</summary>
    public void Type(string line) => Machine.Inject(InputEvent.SerialBytes(0, Encoding.ASCII.GetBytes(line + "\r")));

    /// <summary>Runs to a count, in slices.</summary>
    public void RunTo(ulong count)
    {
        while (Count < count) Assert.Equal(StopReason.Limit, Machine.RunUntil(new Position(ulong.Min(Count + _slice, count), 0)));
    }

    /// <summary>Runs until the guest is off.</summary>
    public void WaitForPowerOff(ulong atMostInstructions)
    {
        StopReason reason = Machine.RunUntil(new Position(Count + atMostInstructions, 0));
        Assert.True(reason == StopReason.PoweredOff, $"the guest should switch itself off, but it is {reason}; it printed: {Text[_seen..]}");
    }

    public byte[] Save()
    {
        var buffer = new ArrayBufferWriter<byte>(1 << 20);
        Machine.Save(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    public void Restore(byte[] snapshot) => Machine.Restore(new ReadOnlySequence<byte>(snapshot));

    public void Dispose()
    {
        Machine.Dispose();
        _media.Dispose();
        foreach (IBlockStore? disk in _disks) (disk as IDisposable)?.Dispose();
    }
}
