// What the threads of another process did, by the kernel's own account: wall times alone cannot be told apart on a host that has
// other things to do.
using System.Globalization;
using System.Runtime.InteropServices;

namespace Emu86.Bench.Soak;

/// <summary>A thread's times so far, in seconds.</summary>
/// <param name="Running">On a processor.</param>
/// <param name="Waiting">Ready, but no processor was free.</param>
internal readonly record struct ThreadTimes(double Running, double Waiting)
{
    public static ThreadTimes operator -(ThreadTimes a, ThreadTimes b) => new(a.Running - b.Running, a.Waiting - b.Waiting);

    /// <param name="process">Whose.</param>
    /// <param name="thread">The main thread has the process's number.</param>
    public static ThreadTimes Of(int process, int thread)
    {
        string[] fields = File.ReadAllText($"/proc/{process}/task/{thread}/schedstat").Split(' ');
        return new(double.Parse(fields[0], CultureInfo.InvariantCulture) / 1e9, double.Parse(fields[1], CultureInfo.InvariantCulture) / 1e9);
    }
}

/// <summary>Leaves a core to a process's emulation thread, which is its main thread: all its other threads, also those that it starts
/// later, go to <see cref="Cores.Other"/>.</summary>
internal sealed partial class OwnCore : IDisposable
{
    private readonly int _process;
    private readonly HashSet<int> _placed = [];
    private readonly Thread _thread;
    private volatile bool _ends;

    public OwnCore(int process)
    {
        _process = process;
        _thread = new Thread(Place) { IsBackground = true };
        _thread.Start();
    }

    public void Dispose()
    {
        _ends = true;
        _thread.Join();
    }

    private void Place()
    {
        for (; !_ends; Thread.Sleep(5))
        {
            try
            {
                foreach (string path in Directory.EnumerateDirectories($"/proc/{_process}/task"))
                {
                    int thread = int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture);
                    ulong cores = 1UL << (thread == _process ? Cores.Live : Cores.Other);
                    if (_placed.Add(thread)) _ = SetAffinity(thread, sizeof(ulong), cores);
                }
            }
            catch (IOException)
            {
                // A thread, or the process, has ended.
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SetAffinity(int thread, nint size, in ulong cores);
}
