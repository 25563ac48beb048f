// What two sides must have in common before one may replay the other (docs/ft-protocol.md, "Handshake").
namespace Emu86.Ft.Replication;

/// <summary>A disk's identity: of the content's history, not of the file that holds it.</summary>
public sealed record DiskIdentity(string Drive, Guid Id);

/// <param name="Name">The guest's name, the arbiter's key.</param>
/// <param name="MachineId">Made at power-on; a restart of the same guest name has another.</param>
/// <param name="ConfigurationHash">Of everything that the guest could notice, and of the protocol's times.</param>
/// <param name="Arbiter">Identity of the arbiter, and behind a space where this side finds it: two sides that ask different ones would both win.</param>
/// <param name="Disks">In board order. Empty for a shared disk, which has one copy.</param>
public sealed record MachineIdentity(string Name, Guid MachineId, UInt128 ConfigurationHash, string Arbiter, IReadOnlyList<DiskIdentity> Disks)
{
    /// <summary>Most drives a handshake may name: what the board can have (4 IDE, 2 floppies) with room to grow.</summary>
    public const int DisksMax = 16;

    /// <summary>What a candidate says to a primary that offers a clone: a sentence naming the difference, or null. A
    /// candidate has no machine of its own yet, so only the name and the arbiter must agree; options and disks that it
    /// was given are compared by the driver when the configuration arrives.</summary>
    public string? RefuseClone(string name, string arbiter) =>
        name != Name ? $"this backup waits for the guest '{name}', not for '{Name}'"
        : arbiter.Split(' ')[0] != Arbiter.Split(' ')[0] ? $"this backup uses the arbiter {arbiter}, the primary uses {Arbiter}; both must use the same one"
        : null;

    /// <summary>What a backup that replays <paramref name="replayed"/> says to a primary that wants to go on: a sentence, or null.</summary>
    public string? RefuseResume(MachineIdentity replayed)
    {
        if (RefuseClone(replayed.Name, replayed.Arbiter) is { } sentence) return sentence;
        if (replayed.MachineId != MachineId) return $"this backup replays the machine {replayed.MachineId:N}, not {MachineId:N}";
        if (replayed.ConfigurationHash != ConfigurationHash) return "the machine's configuration hash differs from the one that is replayed here";
        if (replayed.Disks.Count != Disks.Count) return $"the primary has {Disks.Count} disks, the machine replayed here has {replayed.Disks.Count}";
        for (int i = 0; i < Disks.Count; i++)
        {
            if (replayed.Disks[i] != Disks[i]) return $"the disk {Disks[i].Drive} has the id {Disks[i].Id:N} on the primary and {replayed.Disks[i].Id:N} here";
        }
        return null;
    }
}
