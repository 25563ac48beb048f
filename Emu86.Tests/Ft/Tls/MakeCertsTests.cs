// --make-certs: what it writes works, is kept from others, and overwrites nothing.
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Links;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft.Tls;

public sealed class MakeCertsTests
{
    private static Emu86Process Run(params string[] arguments) => Emu86Process.Run(TimeSpan.FromSeconds(60), arguments);

    [Fact]
    public void The_files_are_written_and_work_and_only_their_owner_reads_the_keys()
    {
        using var folder = new TemporaryFolder();
        string directory = folder["new/certs"];
        Emu86Process made = Run("--make-certs", directory, "--cert-name", "host1+10.0.0.1,host2,fe80::1");
        Assert.Equal("", made.Output);
        Assert.Equal(0, made.ExitCode);
        string[] files = [.. Directory.EnumerateFiles(directory).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];
        Assert.Equal((string[])["ca.key", "ca.pem", "fe80--1.key", "fe80--1.pem", "host1.key", "host1.pem", "host2.key", "host2.pem"], files);
        string Of(string name) => Path.Combine(directory, name);
        TlsIdentity host = TlsIdentity.Load(new TlsFiles(Of("host1.pem"), Of("host1.key"), Of("ca.pem")));
        host.RequireName("host1");
        host.RequireName("10.0.0.1");
        TlsIdentity.Load(new TlsFiles(Of("fe80--1.pem"), Of("fe80--1.key"), Of("ca.pem"))).RequireName("fe80::1");
        if (OperatingSystem.IsWindows()) return;
        foreach (string key in files.Where(f => f.EndsWith(".key", StringComparison.Ordinal))) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Of(key)));
    }

    [Fact]
    public void Nothing_is_overwritten_and_a_later_host_gets_its_certificate_of_the_same_authority()
    {
        using var folder = new TemporaryFolder();
        string directory = folder["certs"];
        Assert.Equal(0, Run("--make-certs", directory, "--cert-name", "host1").ExitCode);
        byte[] before = File.ReadAllBytes(Path.Combine(directory, "host1.key"));
        Emu86Process again = Run("--make-certs", directory, "--cert-name", "host2,host1");
        Assert.Equal(1, again.ExitCode);
        Assert.Matches(@"^emu86: --make-certs overwrites nothing, and [^\n]*host1\.pem is there already; [^\n]*\n$", again.Errors);
        Assert.False(File.Exists(Path.Combine(directory, "host2.pem")));
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(directory, "host1.key")));
        Assert.Equal(0, Run("--make-certs", directory, "--cert-name", "host2").ExitCode);
        TlsIdentity.Load(new TlsFiles(Path.Combine(directory, "host2.pem"), Path.Combine(directory, "host2.key"), Path.Combine(directory, "ca.pem"))).RequireName("host2");
        File.Delete(Path.Combine(directory, "ca.key"));
        Emu86Process without = Run("--make-certs", directory, "--cert-name", "host3");
        Assert.Equal(1, without.ExitCode);
        Assert.Contains("without which it signs nothing", without.Errors);
    }

    [Fact]
    public void A_directory_that_cannot_be_written_is_a_sentence()
    {
        using var folder = new TemporaryFolder();
        Emu86Process made = Run("--make-certs", folder.Write("file", [1]));
        Assert.Equal(1, made.ExitCode);
        Assert.Matches(@"^emu86: --make-certs [^\n]* cannot be written: [^\n]*\n$", made.Errors);
    }
}
