// Evidence of a divergence as a recording: the last state that was equal, the log since then, the hash that the primary said.
using Emu86.Devices;
using Emu86.Ft.Replication;
using Emu86.Ft.Run.Recording;
using MessagePack;

namespace Emu86.Ft.Run.Pair;

/// <summary>Writes evidence so that it is either whole or not there.</summary>
internal static class EvidenceFile
{
    /// <summary>Returns the file's path, or why there is none.</summary>
    /// <param name="directory">Where to.</param>
    /// <param name="guest">The guest's name.</param>
    /// <param name="machine">The machine's configuration.</param>
    /// <param name="disks">Its drives, by name.</param>
    /// <param name="evidence">What is known.</param>
    /// <param name="pages">Hashes of this side's pages; may be empty.</param>
    /// <param name="content">Appends snapshot and log; null: there are none.</param>
    public static string Write(string directory, string guest, MachineConfig machine, IReadOnlyList<DiskIdentity> disks, RecordingEvidenceMessage evidence,
        ReadOnlySpan<ulong> pages, Action<RecordingWriter>? content)
    {
        string path = Path.Combine(directory, $"diverged-{Uri.EscapeDataString(guest)}-epoch{evidence.Epoch}-count{evidence.Differs.Count}-{evidence.Side}.emu86log");
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                var frames = new StreamFrames(file);
                var identity = new MachineIdentity(guest, Guid.NewGuid(), machine.Hash(), "", disks);
                var writer = new RecordingWriter(frames, identity, MessagePackSerializer.Serialize(machine), evidence.LastEqual, new ChunkedBuffer());
                writer.Evidence(evidence, pages);
                content?.Invoke(writer);
                writer.End(evidence.Differs);
                frames.Flush();
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            File.Delete(temporary);
            return $"nothing ({e.Message})";
        }
    }
}
