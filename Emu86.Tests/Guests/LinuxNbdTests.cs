// Debian's kernel with its root on an NBD server that dies again and again.
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Nbd;
using Emu86.Tests.Ft.Nbd;

namespace Emu86.Tests.Guests;

public sealed class LinuxNbdTests
{
    private const ulong Limit = 15_000_000_000;

    [SkippableFact]
    public void Linux_loses_no_byte_on_a_server_that_dies_and_forgets_what_was_not_flushed()
    {
        Skip.IfNot(GuestFiles.HaveLinux, GuestFiles.HowToGetLinux);
        byte[] image = File.ReadAllBytes(GuestFiles.Disk);
        using var server = new NbdServer(image.Length);
        image.CopyTo(server.Content, 0);
        image.CopyTo(server.Durable, 0);
        int reads = 0;
        server.Fault = request =>
        {
            // Only what is read makes it die: what is written to it again after that comes through.
            if (request.Command != NbdServer.Read || ++reads % 300 != 0) return NbdFault.None;
            server.Forget();
            return NbdFault.CloseFirst;
        };
        using GuestConsole guest = new(new RunOptions
        {
            Disks = [new DiskOption(server.Address, ReadOnly: false) { Nbd = new NbdAddress(new Endpoint("127.0.0.1", server.Port), "disk") }, null, null, null],
            Net = NetKind.None,
            RtcBase = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
            Slice = 1_000_000,
        });
        guest.WaitFor("emu86:/# ", Limit);
        // Written, thrown out of memory before all of it is flushed, read again from the server.
        guest.Type("for n in 1 2 3 4 5 6; do cp /bin/busybox /data/copy$n; done; sync; for n in 1 2 3 4 5 6; do echo 3 > /proc/sys/vm/drop_caches; cmp /bin/busybox /data/copy$n && echo same $n; done");
        for (int n = 1; n <= 6; n++) guest.WaitFor($"same {n}\r", Limit);
        guest.Type("dmesg | grep -c -e EXT4-fs.error -e I/O.error; poweroff -f");
        guest.WaitFor("\n0\r", Limit);
        guest.WaitForPowerOff(Limit);
        Assert.InRange(server.Connections, 3, 10_000);
    }
}
