// A primary that is frozen while a write of its shared disk is on its way (in a socket's buffer, in a system call), and wakes up when
// another side is live: what the other side has written stays.
using Emu86.Tests.Ft.Nbd;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class FrozenWriteTests : IDisposable
{
    private readonly SharedPair _pair = new();
    private readonly TemporaryFolder _folder = new();
    private readonly int _port = PairProcess.FreePort();
    private readonly string _image, _asked, _done;
    private NbdRelay? _relay;
    private NbdTool? _server;
    private LoopMount? _mount;

    public FrozenWriteTests()
    {
        _image = _pair.NewImage();
        (_asked, _done) = (Path.Combine(_pair.Directory, "asked"), Path.Combine(_pair.Directory, "done"));
    }

    public void Dispose()
    {
        _mount?.Thaw();
        _relay?.Dispose();
        _pair.Dispose();
        _server?.Dispose();
        _mount?.Dispose();
        _folder.Dispose();
    }

    // The test cuts the relay when the command has run, and then lets it confirm.
    private string FenceCommand => $"touch {_asked}; test -e {_done}";

    [SkippableTheory]
    [InlineData("nbd-server", true)]
    [InlineData("qemu-nbd", true)]
    [InlineData("nbd-server", false)]
    public void What_lay_in_a_socket_buffer_is_lost_with_a_host_that_is_cut_off(string program, bool forGood)
    {
        (PairProcess primary, PairProcess backup) = FreezeWithAWriteOnItsWay(program);
        AssertNotLiveBeforeTheFence(backup);
        _relay!.Cut(forGood);
        int connections = _relay.Connections, writes = _relay.Writes;
        File.WriteAllText(_done, "");
        backup.WaitFor("went live");
        Assert.Equal(7, _pair.Count());
        WaitForCounter(7);
        primary.Signal(PairProcess.SigCont);
        // It finds its connection broken, may make another one if it can, and writes nothing over that.
        if (!forGood) Assert.True(SpinWait.SpinUntil(() => _relay.Connections > connections, 10_000), "it should connect again");
        Assert.Equal(3, primary.WaitForExit());
        Assert.Equal(writes, _relay.Writes);
        Assert.Equal(7, SharedPair.CounterIn(_image));
        Assert.Equal(8, _pair.Count());
        WaitForCounter(8);
    }

    [SkippableTheory]
    [InlineData("nbd-server")]
    [InlineData("qemu-nbd")]
    public void What_lay_in_a_socket_buffer_and_comes_through_before_the_fence_is_followed_by_what_is_newer(string program)
    {
        (PairProcess primary, PairProcess backup) = FreezeWithAWriteOnItsWay(program);
        AssertNotLiveBeforeTheFence(backup);
        _relay!.LetThrough();
        WaitForCounter(6);
        primary.Signal(PairProcess.SigCont);
        Assert.Equal(3, primary.WaitForExit());
        Assert.DoesNotContain("went live", backup.Text);
        File.WriteAllText(_done, "");
        backup.WaitFor("went live");
        Assert.Equal(7, _pair.Count());
        WaitForCounter(7);
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_was_in_a_system_call_is_done_before_the_other_side_has_the_image(bool killed)
    {
        _mount = LoopMount.Make(_folder["fs"]);
        string image = Path.Combine(_mount.Path, "shared.img");
        File.WriteAllBytes(image, new byte[65536]);
        (PairProcess primary, PairProcess backup) = _pair.Protected(["--hda", image], ["--hda", image, .. killed ? ["--fence-command", $"kill -9 $(cat {_asked})"] : Array.Empty<string>()]);
        File.WriteAllText(_asked, $"{primary.Id}");
        CountToFive(() => SharedPair.CounterIn(image));
        _mount.Freeze();
        Assert.Equal(6, _pair.Count());
        Assert.True(SpinWait.SpinUntil(() => LoopMount.IsInAWrite(primary.Id), 10_000), "a thread should be in the middle of a write");
        primary.Signal(PairProcess.SigStop);
        backup.WaitFor($"waiting until the side that was live lets go of {image}");
        Thread.Sleep(2000);
        Assert.DoesNotContain("went live", backup.Text);
        _mount.Thaw();
        if (!killed)
        {
            SharedPair.WaitForCounter(() => SharedPair.CounterIn(image), 6);
            Thread.Sleep(500);
            Assert.DoesNotContain("went live", backup.Text);
            primary.Signal(PairProcess.SigCont);
            Assert.Equal(3, primary.WaitForExit());
        }
        backup.WaitFor("went live");
        Assert.Equal(7, _pair.Count());
        SharedPair.WaitForCounter(() => SharedPair.CounterIn(image), 7);
    }

    private (PairProcess Primary, PairProcess Backup) FreezeWithAWriteOnItsWay(string program)
    {
        _server = NbdTool.Start(program, _image, _folder, _port);
        _relay = new NbdRelay(_port);
        (PairProcess primary, PairProcess backup) = _pair.Protected(["--hda", $"nbd:127.0.0.1:{_relay.Port}/disk", "--fence-command", "true"], ["--hda", $"nbd:127.0.0.1:{_port}/disk", "--fence-command", FenceCommand]);
        CountToFive(() => SharedPair.CounterIn(_image));
        int writes = _relay.Writes;
        _relay.Keep();
        Assert.Equal(6, _pair.Count());
        Assert.True(SpinWait.SpinUntil(() => _relay.Writes > writes, 10_000), "a write should be on its way");
        primary.Signal(PairProcess.SigStop);
        return (primary, backup);
    }

    private void AssertNotLiveBeforeTheFence(PairProcess backup)
    {
        backup.WaitFor("won epoch 2");
        Assert.True(SpinWait.SpinUntil(() => File.Exists(_asked), 10_000), "the fence command should run");
        backup.WaitFor("does not confirm that the side that was live is cut off", nth: 2);
        Assert.DoesNotContain("went live", backup.Text);
        Assert.Equal(5, SharedPair.CounterIn(_image));
    }

    private void CountToFive(Func<int> found)
    {
        for (int n = 1; n <= 5; n++) Assert.Equal(n, _pair.Count());
        SharedPair.WaitForCounter(found, 5);
    }

    private void WaitForCounter(int counter) => SharedPair.WaitForCounter(() => SharedPair.CounterIn(_image), counter);

    /// <summary>A file system in a file, which can be frozen: whoever writes to it then stands still in the system call (fsfreeze(8)).</summary>
    private sealed class LoopMount : IDisposable
    {
        private readonly string _file;
        private bool _isFrozen;

        private LoopMount(string path, string file) => (Path, _file) = (path, file);

        public string Path { get; }

        /// <summary>Skips the test where that cannot be had.</summary>
        public static LoopMount Make(string at)
        {
            string file = at + ".ext4";
            Directory.CreateDirectory(at);
            using (FileStream sparse = File.Create(file)) sparse.SetLength(32 << 20);
            Skip.IfNot(OperatingSystem.IsLinux() && HostProgram.Run("mkfs.ext4", "-q", "-F", file) == 0 && HostProgram.Run("mount", "-o", "loop", file, at) == 0, "needs Linux, mkfs.ext4, loop devices and the right to mount them");
            return new LoopMount(at, file);
        }

        public void Freeze()
        {
            _isFrozen = true;
            Assert.Equal(0, HostProgram.Run("fsfreeze", "-f", Path));
        }

        public void Thaw()
        {
            if (_isFrozen) Assert.Equal(0, HostProgram.Run("fsfreeze", "-u", Path));
            _isFrozen = false;
        }

        public void Dispose()
        {
            Assert.Equal(0, HostProgram.Run("umount", Path));
            File.Delete(_file);
        }

        /// <summary>Whether a thread of a process is in pwrite64(2), and has to stay there (its state is D).</summary>
        public static bool IsInAWrite(int process) => Directory.EnumerateDirectories($"/proc/{process}/task").Any(task =>
        {
            try
            {
                return File.ReadAllText(task + "/syscall").StartsWith("18 ", StringComparison.Ordinal) && File.ReadAllText(task + "/stat").Contains(") D ", StringComparison.Ordinal);
            }
            catch (IOException)
            {
                // The thread has gone, or cannot be looked at while it runs.
                return false;
            }
        });
    }
}
