// A backup goes live once, in code that has never run before: compiling it then would be most of the outage.
using System.Reflection;
using System.Runtime.CompilerServices;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Links;
using Emu86.Ft.Replication;

namespace Emu86.Ft.Run.Pair;

/// <summary>Does once, on a thread of low priority, what going live will need.</summary>
internal static class Rehearsal
{
    /// <param name="host">Its state directory is used for an arbiter that nobody else asks.</param>
    public static void Begin(PairHost host)
    {
        new Thread(() =>
        {
            BackgroundThread.GiveWay();
            host.RehearseClaim();
            OwnerListener.Ask(host.Owner.Address, host.Self, 100_000, host.Tls);
            Compile(typeof(Rehearsal).Assembly);
        })
        { IsBackground = true, Name = "rehearsal" }.Start();
    }

    /// <summary>Wins epochs of a guest of its own, in the state directory.</summary>
    public static void ClaimAnEpoch(PairHost host)
    {
        string directory = Path.Combine(host.StateDirectory, $"rehearsal-{host.Self:N}");
        try
        {
            FileArbiter arbiter = new(directory, "rehearsal");
            ArbiterValue value = new(1, host.Self, host.Owner.Address, GuestState.Live, [new(host.Self, "", 0)], []);
            arbiter.Ask(new(1, ArbiterRequestKind.Start, 0, value));
            arbiter.Ask(new(2, ArbiterRequestKind.Claim, 1, value with { Epoch = 2 }));
            Directory.Delete(directory, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HostException)
        {
            // Only a rehearsal; the real arbiter says its own problems.
        }
    }

    private static void Compile(Assembly assembly)
    {
        foreach (Type type in assembly.GetTypes())
        {
            if (type.ContainsGenericParameters) continue;
            foreach (MethodBase method in type.GetMembers(BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static).OfType<MethodBase>())
            {
                if (!method.IsAbstract && !method.ContainsGenericParameters && method.MethodImplementationFlags == MethodImplAttributes.IL) RuntimeHelpers.PrepareMethod(method.MethodHandle);
            }
        }
    }
}
