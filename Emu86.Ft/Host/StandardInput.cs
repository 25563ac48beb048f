// Standard input as COM1's: read by one thread for the life of the process, whichever machine is live in it.
namespace Emu86.Ft.Host;

/// <summary>Delivers what is typed to the machine that listens; nothing is lost between two of them.</summary>
internal static class StandardInput
{
    private static readonly object Gate = new();
    private static Action<byte[]>? _typed;
    private static bool _isRead;

    /// <summary>Who gets it from now on, on any thread; null: nobody, and it waits.</summary>
    public static void DeliverTo(Action<byte[]>? typed)
    {
        lock (Gate)
        {
            _typed = typed;
            Monitor.PulseAll(Gate);
            if (_isRead || typed is null) return;
            _isRead = true;
        }
        new Thread(Read) { IsBackground = true, Name = "standard input" }.Start();
    }

    private static void Read()
    {
        using Stream input = Console.OpenStandardInput();
        byte[] buffer = new byte[256];
        try
        {
            for (int got; (got = input.Read(buffer)) > 0;)
            {
                lock (Gate)
                {
                    while (_typed is null) Monitor.Wait(Gate);
                    _typed(buffer[..got]);
                }
            }
        }
        catch (IOException)
        {
            // A terminal that hangs up: no more input.
        }
    }
}
