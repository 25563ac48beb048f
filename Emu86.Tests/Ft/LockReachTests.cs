// Which file systems tell other hosts of a lock.
using Emu86.Ft.Host;

namespace Emu86.Tests.Ft;

public sealed class LockReachTests
{
    private static string? Of(string type, string options) => LockReach.WhyLocal(
    [
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        $"36 22 0:40 /a\\040b /mnt rw,relatime shared:7 master:2 - {type} server:/export {options}",
    ], "36");

    [Theory]
    [InlineData("nfs", "rw,vers=3,nolock,proto=tcp,local_lock=all", "nolock")]
    [InlineData("nfs4", "rw,vers=4.2,local_lock=all,addr=10.0.0.1", "local_lock=all")]
    [InlineData("nfs", "rw,vers=3,local_lock=posix", "local_lock=posix")]
    [InlineData("cifs", "rw,nobrl", "nobrl")]
    public void An_option_that_keeps_locks_to_the_host_is_named(string type, string options, string named) => Assert.Contains($"({type}) is mounted with {named}", Of(type, options));

    [Theory]
    [InlineData("nfs4", "rw,vers=4.2,local_lock=none")]
    [InlineData("nfs", "rw,vers=3,local_lock=flock")]
    [InlineData("cifs", "rw,vers=3.1.1")]
    [InlineData("ext4", "rw,nolock")]
    [InlineData("ocfs2", "rw")]
    public void Other_file_systems_are_believed(string type, string options) => Assert.Null(Of(type, options));

    [Fact]
    public void One_without_locks_for_others_is_named() => Assert.Contains("(fuse.sshfs) does not tell other hosts", Of("fuse.sshfs", "rw,user_id=0"));

    [SkippableFact]
    public void A_file_of_this_host_has_a_mount_that_can_be_looked_up()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "needs /proc");
        Assert.Null(LockReach.WhyLocal(typeof(LockReachTests).Assembly.Location));
        Assert.Contains("cannot be opened", Assert.Throws<HostException>(() => LockReach.WhyLocal("/nowhere/a.img")).Message);
    }
}
