// The host's processor in 32- and 16-bit code segments: a small native program runs the cases (Native/compat-runner.c).
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Emu86.Tests.Conformance;

/// <summary>A running instance of the native program. Tests skip where <see cref="Start"/> gives none.</summary>
internal sealed class CompatHost : IDisposable
{
    public const string SkipReason = "needs x86-64 Linux with 32-bit segments (modify_ldt) and gcc (Debian: apt-get install gcc libc6-dev)";

    private const int ResultLength = 228;

    private static readonly Lazy<string?> s_program = new(Build);

    private readonly Process _process;
    private readonly Stream _to, _from;

    private CompatHost(Process process)
    {
        _process = process;
        _to = process.StandardInput.BaseStream;
        _from = process.StandardOutput.BaseStream;
    }

    public static CompatHost? Start()
    {
        if (s_program.Value is not string program) return null;
        var process = Process.Start(new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        var host = new CompatHost(process);
        try
        {
            host.Send(SetUp());
            if (BitConverter.ToUInt32(host.Receive(4)) == 0) return host;
        }
        catch (IOException)
        {
            // It gave up: no memory at our addresses, or no modify_ldt.
        }
        host.Dispose();
        return null;
    }

    public CompatResult[] Run(IReadOnlyList<CompatTest> tests)
    {
        using var request = new MemoryStream();
        var writer = new BinaryWriter(request);
        writer.Write(0);
        foreach (CompatTest test in tests) Write(writer, test);
        request.Position = 0;
        writer.Write((uint)request.Length - 4);
        Send(request.ToArray());
        byte[] answer = Receive(BitConverter.ToInt32(Receive(4)));
        var results = new CompatResult[tests.Count];
        int at = 0;
        for (int n = 0; n < results.Length; n++) results[n] = Read(answer, ref at);
        Assert.Equal(answer.Length, at);
        return results;
    }

    public void Dispose()
    {
        _to.Dispose();
        if (!_process.WaitForExit(5000)) _process.Kill();
        _process.Dispose();
    }

    private static string? Build()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) return null;
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Emu86.sln")))
        {
            if (Path.GetDirectoryName(folder) is not string parent) return null;
            folder = parent;
        }
        string source = Path.Combine(folder, "Emu86.Tests", "Conformance", "Native", "compat-runner.c");
        string program = Path.Combine(Directory.CreateTempSubdirectory("emu86-compat").FullName, "compat-runner");
        try
        {
            using Process gcc = Process.Start("gcc", ["-O1", "-Wall", "-Werror", "-static-pie", "-nostdlib", "-ffreestanding", "-fPIE", "-fno-stack-protector",
                "-fcf-protection=none", "-mgeneral-regs-only", "-o", program, source]);
            gcc.WaitForExit();
            return gcc.ExitCode == 0 ? program : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private static byte[] SetUp()
    {
        using var stream = new MemoryStream();
        var writer = new BinaryWriter(stream);
        writer.Write(CompatLayout.Ldt.Length);
        writer.Write(CompatLayout.Regions.Length);
        foreach (CompatRegion region in CompatLayout.Regions)
        {
            writer.Write(region.At);
            writer.Write(region.Length);
            writer.Write(region.Writable ? 1 : 0);
            writer.Write(CompatLayout.Content(region));
        }
        for (int n = 0; n < CompatLayout.Ldt.Length; n++)
        {
            writer.Write(n);
            writer.Write(CompatLayout.Ldt[n].Base);
            writer.Write(CompatLayout.Ldt[n].Limit);
            writer.Write(CompatLayout.Ldt[n].UserFlags);
        }
        return stream.ToArray();
    }

    private static void Write(BinaryWriter writer, CompatTest test)
    {
        foreach (uint register in test.Gpr) writer.Write(register);
        writer.Write(test.Eip);
        writer.Write(test.Eflags);
        foreach (ushort selector in test.Selectors) writer.Write(selector);
        writer.Write(test.Fpu is null ? 0 : 1);
        writer.Write(test.Patches.Count);
        writer.Write(test.Fpu ?? new byte[HostCpu.FpuLength]);
        foreach ((uint at, byte[] bytes) in test.Patches)
        {
            writer.Write(at);
            writer.Write(bytes.Length);
            writer.Write(bytes);
            for (int n = bytes.Length; n % 4 != 0; n++) writer.Write((byte)0);
        }
    }

    private static CompatResult Read(byte[] from, ref int at)
    {
        var reader = new BinaryReader(new MemoryStream(from, at, from.Length - at));
        var result = new CompatResult();
        for (int n = 0; n < 8; n++) result.Gpr[n] = reader.ReadUInt32();
        result.Eip = reader.ReadUInt32();
        result.Eflags = reader.ReadUInt32();
        for (int n = 0; n < 6; n++) result.Selectors[n] = reader.ReadUInt16();
        result.Vector = reader.ReadUInt32();
        result.Error = reader.ReadUInt32();
        result.Cr2 = reader.ReadUInt32();
        if (result.Vector != 14) result.Cr2 = 0;
        result.DifferenceCount = reader.ReadInt32();
        reader.Read(result.Fpu);
        int count = int.Min(result.DifferenceCount, CompatLayout.DifferencesMax);
        for (int n = 0; n < count; n++) result.Differences.Add((reader.ReadUInt32(), (byte)reader.ReadUInt32()));
        at += ResultLength + (8 * count);
        return result;
    }

    private void Send(byte[] bytes)
    {
        _to.Write(bytes);
        _to.Flush();
    }

    private byte[] Receive(int length)
    {
        var bytes = new byte[length];
        try
        {
            _from.ReadExactly(bytes);
        }
        catch (EndOfStreamException end)
        {
            _process.WaitForExit(5000);
            throw new IOException($"the native program ended with {(_process.HasExited ? _process.ExitCode : -1)}", end);
        }
        return bytes;
    }
}
