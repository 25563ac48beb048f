// What the guest is given to do while its host is measured.
namespace Emu86.Bench.Soak;

/// <param name="Name">As printed.</param>
/// <param name="Command">Typed at the guest's shell.</param>
/// <param name="Talk">What this program does meanwhile, given the host port that reaches the guest's port 9; null: nothing.</param>
/// <param name="Bytes">Moved through the network; 0 where that is not what is measured.</param>
internal sealed record GuestJob(string Name, string Command, Action<int>? Talk = null, long Bytes = 0)
{
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(600);

    public static readonly GuestJob Cpu = new("CPU", "for n in 1 2 3 4; do /bench/sieve; done >/dev/null");

    public static GuestJob Receive(int megabytes) =>
        new("receive", "nc -l -p 9 | wc -c", port => GuestTransfer.Send(port, (long)megabytes << 20), (long)megabytes << 20);

    public static GuestJob Send(int megabytes) =>
        new("send", $"dd if=/dev/zero bs=64k count={megabytes << 4} 2>/dev/null | nc -l -p 9", port => GuestTransfer.Receive(port, (long)megabytes << 20), (long)megabytes << 20);

    /// <summary>In memory, as the paper's SPECjbb.</summary>
    public static readonly GuestJob Transactions = new("transactions", "/bench/transactions 20000");

    /// <summary>As the paper's kernel compile.</summary>
    public static readonly GuestJob Compile = new("compile", "/work/compile 1");

    /// <summary>Commits to a database on the disk, over TCP, as the paper's Oracle and MS-SQL.</summary>
    public static readonly GuestJob Database = new("database", "/work/database", port => GuestTransfer.Commit(port, 60));

    /// <summary>Runs it; returns how long it took on the host.</summary>
    /// <param name="shell">The guest's console.</param>
    /// <param name="port">Host port that reaches its port 9.</param>
    public TimeSpan Run(GuestShell shell, int port) => shell.Run(Command, Within, Talk is { } talk ? () => talk(port) : null);
}
