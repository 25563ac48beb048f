// A CD-ROM drive in a protected pair of real processes: the medium changes, the primary dies, a side lacks the image.
using System.Net;
using System.Security.Cryptography;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class MediumPairTests : IDisposable
{
    private readonly string _state = Directory.CreateTempSubdirectory("emu86-cd").FullName;
    private readonly int _port = PairProcess.FreePort(), _status = PairProcess.FreePort(), _backupStatus = PairProcess.FreePort();
    private readonly List<PairProcess> _processes = [];

    public void Dispose()
    {
        foreach (PairProcess process in _processes) process.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    [SkippableTheory]
    [InlineData("auto", "interpreter")]
    [InlineData("interpreter", "auto")]
    public void A_medium_changed_in_a_pair_is_in_the_drive_of_the_side_that_goes_live(string primaryEngine, string backupEngine)
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        (PairProcess primary, PairProcess backup) = Pair(GuestFiles.BootCd, primaryEngine, backupEngine);
        (HttpStatusCode code, string text) = PairProcess.Post(_status, $"/control/medium?drive=cdrom&path={Uri.EscapeDataString(GuestFiles.CdTwo)}");
        Assert.True(code == HttpStatusCode.OK, text);
        primary.Type("sha256sum /dev/sr0");
        primary.WaitFor($"{Sha256(GuestFiles.CdTwo)}  /dev/sr0", 300);
        ulong hashes = PairProcess.Status(_status).GetProperty("hashesChecked").GetUInt64();
        primary.WaitForStatus(_status, s => s.GetProperty("hashesChecked").GetUInt64() > hashes + 2 && s.GetProperty("protected").GetBoolean(), 120);
        primary.Signal(PairProcess.SigKill);
        backup.WaitFor("went live");
        backup.Type("mkdir -p /mnt; mount -t iso9660 -o ro /dev/sr0 /mnt; cat /mnt/name.txt; sha256sum /dev/sr0");
        backup.WaitFor("this is medium two", 120);
        backup.WaitFor($"{Sha256(GuestFiles.CdTwo)}  /dev/sr0", 120);
        Assert.DoesNotContain("diverged", backup.Text);

        // Mounted, the tray is locked; the control of the new side says so, and force does it.
        (code, text) = PairProcess.Post(_backupStatus, "/control/medium?drive=cdrom&path=");
        Assert.Equal(HttpStatusCode.Conflict, code);
        Assert.Contains("force=1", text);
        Assert.Equal(HttpStatusCode.OK, PairProcess.Post(_backupStatus, "/control/medium?drive=cdrom&path=&force=1").Code);
    }

    [SkippableTheory]
    [InlineData(false, "does not exist")]
    [InlineData(true, "has another content here")]
    public void A_backup_that_lacks_the_new_medium_leaves_with_a_sentence_and_the_guest_goes_on(bool hasAnother, string sentence)
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        (PairProcess primary, PairProcess backup) = Pair(GuestFiles.BootCd, "auto", "auto");
        // Frozen while the file is there and read by the primary: the backup comes to it when it has gone.
        string passing = Path.Combine(_state, "passing.iso");
        File.Copy(GuestFiles.CdTwo, passing);
        backup.Signal(PairProcess.SigStop);
        // It is answered when the backup has it; the image is read at once.
        Task<(HttpStatusCode Code, string Text)> asked = Task.Run(() => PairProcess.Post(_status, $"/control/medium?drive=cdrom&path={Uri.EscapeDataString(passing)}"));
        Thread.Sleep(300);
        File.Delete(passing);
        if (hasAnother)
        {
            byte[] content = File.ReadAllBytes(GuestFiles.CdTwo);
            content[^1]++;
            File.WriteAllBytes(passing, content);
        }
        backup.Signal(PairProcess.SigCont);
        Assert.True(asked.Result.Code == HttpStatusCode.OK, asked.Result.Text);
        Assert.Equal(1, backup.WaitForExit(120));
        Assert.Contains("CD-ROM drive holds an image of", backup.Text);
        Assert.Contains(sentence, backup.Text);
        primary.WaitFor("unprotected", 120);
        primary.Type("sha256sum /dev/sr0");
        primary.WaitFor($"{Sha256(GuestFiles.CdTwo)}  /dev/sr0", 300);
    }

    [SkippableFact]
    public void An_image_that_is_changed_under_both_sides_is_an_error_of_the_drive_and_can_be_put_in_again()
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        string image = Path.Combine(_state, "boot.iso");
        File.Copy(GuestFiles.BootCd, image);
        (PairProcess primary, PairProcess backup) = Pair(image, "auto", "auto");
        File.SetLastWriteTimeUtc(image, new DateTime(2030, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        primary.Type("sha256sum /dev/sr0; echo it ended with $?");
        Assert.Equal(1, primary.WaitForExit(120));
        Assert.Contains($"CD image {image} was changed while the guest uses it", primary.Text);
        backup.WaitFor("the guest sees an error of its CD-ROM drive hdc", 120);
        backup.WaitFor("it ended with 1", 120);
        (HttpStatusCode code, string text) = PairProcess.Post(_backupStatus, $"/control/medium?drive=cdrom&path={Uri.EscapeDataString(image)}");
        Assert.True(code == HttpStatusCode.OK, text);
        backup.Type("sha256sum /dev/sr0");
        backup.WaitFor($"{Sha256(image)}  /dev/sr0", 120);
    }

    [SkippableFact]
    public void A_clone_is_refused_by_a_backup_without_the_medium()
    {
        Skip.IfNot(GuestFiles.HaveCds, GuestFiles.HowToGetCds);
        PairProcess backup = Backup(GuestFiles.CdOne, "auto");
        backup.WaitFor("role backup");
        PairProcess primary = Primary(GuestFiles.BootCd, "auto");
        primary.WaitFor("give it with --cdrom PATH", 120);
        Assert.DoesNotContain("protected by", primary.Text);
    }

    private (PairProcess Primary, PairProcess Backup) Pair(string cd, string primaryEngine, string backupEngine)
    {
        PairProcess backup = Backup(cd, backupEngine);
        backup.WaitFor("role backup");
        PairProcess primary = Primary(cd, primaryEngine);
        primary.WaitFor("protected by", 120);
        primary.WaitFor("emu86-guest: ready", 300);
        return (primary, backup);
    }

    private PairProcess Primary(string cd, string engine) => Start("--primary", "--backups", $"127.0.0.1:{_port}", "--cdrom", cd, "--boot", "d", "--memory", "64M", "--engine", engine, "--status", $"127.0.0.1:{_status}");

    private PairProcess Backup(string cd, string engine) => Start("--backup", "--listen", $"127.0.0.1:{_port}", "--backups", $"127.0.0.1:{_port}", "--cdrom", cd, "--engine", engine, "--status", $"127.0.0.1:{_backupStatus}");

    // The timeouts are long: a test machine that is busy is no failed host.
    private PairProcess Start(params string[] arguments)
    {
        PairProcess process = new(["--state-dir", _state, "--net", "none", "--heartbeat", "100", "--failure-timeout", "3000", "--hash-every", "500", .. arguments]);
        _processes.Add(process);
        return process;
    }

    private static string Sha256(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
