// The control operation medium: what lies in the CD-ROM drive, as an input of the guest.
using System.Text;
using Emu86.Devices;
using Emu86.Devices.Ide;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Status;

namespace Emu86.Ft.Run;

/// <summary>POST /control/medium?drive=cdrom&amp;path=FILE, without a path to eject; force=1 although the guest has locked the tray.</summary>
public static class MediumControl
{
    public const string Usage = "medium?drive=cdrom&path=FILE (empty to eject; force=1: although the guest has locked the tray)";

    /// <param name="query">Behind the question mark.</param>
    /// <param name="at">Runs something on the emulation thread and waits for it.</param>
    /// <param name="machine">The live machine.</param>
    /// <param name="inputs">Its queue.</param>
    public static ControlAnswer Do(string query, Func<Func<ControlAnswer>, ControlAnswer> at, Machine machine, InputQueue inputs)
    {
        string drive = "cdrom";
        string? path = null;
        bool force = false;
        foreach (string part in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = part.Split('=', 2);
            string value = pair.Length == 2 ? Uri.UnescapeDataString(pair[1]) : "";
            switch (pair[0])
            {
                case "drive": drive = value; break;
                case "path": path = value; break;
                case "force" when value is "" or "0" or "1": force = value != "0"; break;
                default: return new ControlAnswer(400, $"medium does not know {part}: POST /control/{Usage}");
            }
        }
        if (drive != "cdrom" || path is null) return new ControlAnswer(400, $"say which drive and which medium: POST /control/{Usage}");
        if (machine.Board.Cdrom is null) return ControlAnswer.Refused("the machine has no CD-ROM drive; give it one with --cdrom PATH, or --cdrom none for an empty one");
        if (path.Length == 0) return at(() => Change(null, force, machine, inputs));
        if (Encoding.UTF8.GetByteCount(Path.GetFullPath(path)) > Medium.PathBytesMax) return new ControlAnswer(400, $"the path is longer than {Medium.PathBytesMax} bytes");
        CdImage image;
        try
        {
            // Reading all of it takes a while; the guest goes on.
            image = CdImage.Open(path);
        }
        catch (HostException e)
        {
            return new ControlAnswer(400, e.Message);
        }
        return at(() => Change(image, force, machine, inputs));
    }

    private static ControlAnswer Change(CdImage? image, bool force, Machine machine, InputQueue inputs)
    {
        if (machine.Board.Cdrom!.IsLocked && !force)
        {
            image?.Dispose();
            return ControlAnswer.Refused("the guest has locked the tray; have it unmount the medium, or add force=1");
        }
        if (image is null)
        {
            inputs.Put(Medium.RemoveFrom(CdromConfig.Drive));
            return ControlAnswer.Done("ejected");
        }
        ((MediaLibrary)machine.Media!).Keep(image);
        inputs.Put(image.Medium.InsertInto(CdromConfig.Drive));
        return ControlAnswer.Done($"inserted {image.Medium.Path}, {image.Medium.Bytes} bytes, content hash {image.Medium.Hash:x32}");
    }
}
