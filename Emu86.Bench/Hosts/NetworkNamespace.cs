// A network namespace of Linux: a host of its own as far as the network goes (network_namespaces(7), setns(2)).
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

/// <summary>Made when constructed, gone when disposed of.</summary>
internal sealed partial class NetworkNamespace : IDisposable
{
    private const int CloneNewNet = 0x40000000;

    public NetworkNamespace(string name)
    {
        Name = name;
        Ip("netns", "add", name);
        Run("ip", "link", "set", "lo", "up");
    }

    public string Name { get; }

    /// <summary>Runs a command within it; its complaint is the failure's sentence.</summary>
    public string Run(string command, params string[] arguments) => Execute("ip", ["netns", "exec", Name, command, .. arguments]);

    public int InterfaceIndex(string name) => int.Parse(Run("cat", $"/sys/class/net/{name}/ifindex"), CultureInfo.InvariantCulture);

    /// <summary>The ip command outside of every namespace of this run.</summary>
    public static string Ip(params string[] arguments) => Execute("ip", arguments);

    /// <summary>Makes something that belongs to the namespace in which it is made: a socket stays there, whoever uses it.</summary>
    public T Within<T>(Func<T> make)
    {
        T? made = default;
        Exception? failed = null;
        // The thread ends in the namespace: it is nobody else's.
        var thread = new Thread(() =>
        {
            try
            {
                Enter();
                made = make();
            }
            catch (Exception e)
            {
                failed = e;
            }
        });
        thread.Start();
        thread.Join();
        return failed is null ? made! : throw new SoakException($"in the namespace {Name}: {failed.Message}");
    }

    public Socket NewTcpSocket() => Within(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });

    public void Dispose() => Ip("netns", "del", Name);

    private void Enter()
    {
        int file = Open($"/run/netns/{Name}", 0);
        if (file < 0 || SetNamespace(file, CloneNewNet) != 0) throw new SoakException($"cannot be entered: {Marshal.GetLastPInvokeErrorMessage()}");
        _ = Close(file);
    }

    private static string Execute(string command, string[] arguments)
    {
        var info = new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(info)!;
            Task<string> problem = process.StandardError.ReadToEndAsync();
            string said = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? said : throw new SoakException($"{command} {string.Join(' ', arguments)}: {problem.Result.Trim()}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new SoakException($"{command}: {e.Message}");
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetNamespace(int file, int kind);
}
