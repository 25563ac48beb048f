// A server process of other people: nbd-server or qemu-nbd with one export, "disk".
using System.Diagnostics;
using System.Net.Sockets;
using Emu86.Ft.Cli;
using Emu86.Tests.Guests;

namespace Emu86.Tests.Ft.Nbd;

/// <summary>Killed when disposed, with whatever it started.</summary>
internal sealed class NbdTool : IDisposable
{
    private readonly int _port;
    private readonly Process _server;

    private NbdTool(int port, Process server) => (_port, _server) = (port, server);

    /// <summary>Starts it and waits until it listens; skips the test where it is not installed.</summary>
    public static NbdTool Start(string program, string image, TemporaryFolder folder, int port, bool readOnly = false, TlsFiles? tls = null)
    {
        string[] places = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        Skip.IfNot(places.Any(p => File.Exists(Path.Combine(p, program))), $"needs {program}: apt-get install {(program == "qemu-nbd" ? "qemu-utils" : program)}");
        string settings = $"""
            [generic]
            listenaddr = 127.0.0.1
            port = {port}
            [disk]
            exportname = {image}
            readonly = {(readOnly ? "true" : "false")}
            flush = true

            """, pidFile = folder["nbd.pid"];
        string[] arguments = program == "qemu-nbd"
            ? [.. Credentials(tls, folder), "-f", "raw", "-b", "127.0.0.1", "-p", $"{port}", "-x", "disk", "-t", "-e", "4", .. readOnly ? ["-r"] : Array.Empty<string>(), image]
            : ["-C", folder.Write("nbd.conf", System.Text.Encoding.ASCII.GetBytes(settings)), "-p", pidFile];
        var start = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        File.Delete(pidFile);
        Process started = Process.Start(start)!;
        started.OutputDataReceived += (_, _) => { };
        started.ErrorDataReceived += (_, _) => { };
        started.BeginOutputReadLine();
        started.BeginErrorReadLine();
        Assert.True(SpinWait.SpinUntil(() => Listens(port), 10_000), $"{program} should listen");
        // One goes on in the background, and says as what.
        if (program == "nbd-server") Assert.True(SpinWait.SpinUntil(() => File.Exists(pidFile) && File.ReadAllText(pidFile).EndsWith('\n'), 10_000), "it should write its number");
        return new NbdTool(port, program == "nbd-server" ? Process.GetProcessById(int.Parse(File.ReadAllText(pidFile))) : started);
    }

    // qemu wants a directory with files of these names.
    private static string[] Credentials(TlsFiles? tls, TemporaryFolder folder)
    {
        if (tls is null) return [];
        string directory = Directory.CreateDirectory(folder["tls"]).FullName;
        foreach ((string from, string name) in new[] { (tls.Authority, "ca-cert.pem"), (tls.Certificate, "server-cert.pem"), (tls.Key, "server-key.pem") }) File.Copy(from, Path.Combine(directory, name), overwrite: true);
        return ["--object", $"tls-creds-x509,id=tls,endpoint=server,dir={directory},verify-peer=yes", "--tls-creds", "tls"];
    }

    // It may have one process for each client, which would go on serving.
    public void Dispose()
    {
        _server.Kill(entireProcessTree: true);
        Assert.True(SpinWait.SpinUntil(() => !Listens(_port), 10_000), "it should be gone");
        _server.Dispose();
    }

    private static bool Listens(int port)
    {
        try
        {
            using var probe = new TcpClient("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            Thread.Sleep(20);
            return false;
        }
    }
}
