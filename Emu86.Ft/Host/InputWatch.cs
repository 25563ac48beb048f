// Ends this process with the one that started it: whoever holds the other end of standard input is gone when it ends, however
// it died.
namespace Emu86.Ft.Host;

internal static class InputWatch
{
    /// <summary>Watches on a thread of its own; what comes is thrown away.</summary>
    public static void Start()
    {
        new Thread(() =>
        {
            Span<byte> ignored = stackalloc byte[256];
            using Stream input = Console.OpenStandardInput();
            try
            {
                while (input.Read(ignored) > 0)
                {
                }
            }
            catch (IOException)
            {
                // A terminal that hangs up.
            }
            Environment.Exit(ExitCode.Failure);
        })
        { IsBackground = true, Name = "input watch" }.Start();
    }
}
