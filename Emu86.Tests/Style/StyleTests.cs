// The rules of docs/style.md and docs/architecture.md that a machine can check.
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Emu86.Tests.Style;

public sealed partial class StyleTests
{
    private static readonly string Root = FindRoot();
    private static readonly string[] Core = ["Emu86.Cpu", "Emu86.Chipset", "Emu86.Devices"];

    [Theory]
    [InlineData("Emu86.Cpu")]
    [InlineData("Emu86.Chipset", "Emu86.Cpu")]
    [InlineData("Emu86.Devices", "Emu86.Chipset")]
    [InlineData("Emu86.Ft", "Emu86.Devices")]
    public void Projects_know_only_those_below_them(string project, params string[] known)
    {
        XDocument file = XDocument.Load(Path.Combine(Root, project, project + ".csproj"));
        string[] references = [.. file.Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/'))).Order()];
        Assert.Equal(known.Order(), references);
    }

    [Fact]
    public void Assemblies_of_the_core_reference_nothing_above_them()
    {
        string[] all = [.. Core, "emu86"];
        for (int n = 0; n < Core.Length; n++)
        {
            IEnumerable<string> used = Assembly.Load(Core[n]).GetReferencedAssemblies().Select(a => a.Name!);
            Assert.Empty(used.Intersect(all[(n + 1)..]));
        }
    }

    [Fact]
    public void No_source_file_is_longer_than_900_lines()
    {
        foreach (string path in Sources("."))
        {
            int lines = File.ReadLines(path).Count();
            // Tables are data.
            Assert.True(lines <= 900 || Path.GetFileName(path).Contains("Table"), $"{Name(path)} has {lines} lines");
        }
    }

    [Fact]
    public void The_first_line_of_each_file_says_what_it_is()
    {
        foreach (string path in Core.Append("Emu86.Ft").SelectMany(Sources))
        {
            string first = File.ReadLines(path).FirstOrDefault() ?? "";
            Assert.True(first.StartsWith("// ", StringComparison.Ordinal) && first.Length > 12, $"{Name(path)} begins with \"{first}\"");
        }
    }

    [Fact]
    public void State_is_plain_bytes_without_padding_and_without_references()
    {
        int seen = 0;
        foreach (Type type in Core.SelectMany(n => Assembly.Load(n).GetTypes()).Where(t => t.IsValueType && !t.IsEnum && !t.IsPrimitive && t.Name.EndsWith("State", StringComparison.Ordinal)))
        {
            // Without fields: an operation, not state.
            if (type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public).Length == 0) continue;
            AssertPlain(type, type.FullName!);
            seen++;
        }
        Assert.InRange(seen, 15, 200);
    }

    [Fact]
    public void Every_unit_of_the_core_saves_state_of_such_a_struct_or_none()
    {
        foreach (Type unit in Core.SelectMany(n => Assembly.Load(n).GetTypes()).Where(t => t.IsClass && t.GetInterfaces().Any(i => i.Name == "IStateful")))
        {
            foreach (FieldInfo field in unit.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly).Where(f => f.Name == "_state"))
            {
                AssertPlain(field.FieldType, $"{unit.Name}._state");
            }
        }
    }

    [Fact]
    public void Documents_that_are_pointed_at_exist()
    {
        var missing = new List<string>();
        foreach (string path in Directory.EnumerateFiles(Root, "*.md", SearchOption.AllDirectories).Where(p => !IsGenerated(p)))
        {
            foreach (Match link in MarkdownLink().Matches(File.ReadAllText(path)))
            {
                string target = link.Groups[1].Value.Split('#')[0];
                if (target.Length == 0 || target.Contains("://", StringComparison.Ordinal) || target.StartsWith("mailto:", StringComparison.Ordinal)) continue;
                string full = Path.Combine(Path.GetDirectoryName(path)!, target);
                if (!File.Exists(full) && !Directory.Exists(full)) missing.Add($"{Name(path)} → {target}");
            }
        }
        foreach (string path in Sources("."))
        {
            foreach (Match named in NamedDocument().Matches(File.ReadAllText(path)))
            {
                if (!File.Exists(Path.Combine(Root, named.Value))) missing.Add($"{Name(path)} → {named.Value}");
            }
        }
        Assert.Empty(missing.Distinct());
    }

    private static void AssertPlain(Type type, string where)
    {
        Assert.True(type.IsLayoutSequential && type.StructLayoutAttribute!.Pack == 1, $"{where}: {type.Name} is not [StructLayout(LayoutKind.Sequential, Pack = 1)]");
        Assert.False((bool)Generic(typeof(RuntimeHelpers), nameof(RuntimeHelpers.IsReferenceOrContainsReferences), type)!, $"{where} contains references");
        int bytes = 0;
        foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public))
        {
            Type part = field.FieldType;
            if (field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer) bytes += buffer.Length * Size(buffer.ElementType);
            else bytes += Size(part);
            bool isOurs = part.IsValueType && !part.IsPrimitive && !part.IsEnum && part.Assembly.GetName().Name!.StartsWith("Emu86", StringComparison.Ordinal);
            bool isArray = part.GetCustomAttribute<InlineArrayAttribute>() is not null || field.GetCustomAttribute<FixedBufferAttribute>() is not null;
            if (isOurs && !isArray) AssertPlain(part, $"{where}.{field.Name}");
        }
        Assert.True(bytes == Size(type), $"{where}: {type.Name} has {Size(type) - bytes} bytes of padding");
    }

    private static int Size(Type type) => (int)Generic(typeof(Unsafe), nameof(Unsafe.SizeOf), type)!;

    private static object? Generic(Type holder, string method, Type argument) => holder.GetMethod(method)!.MakeGenericMethod(argument).Invoke(null, null);

    private static IEnumerable<string> Sources(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories).Where(p => !IsGenerated(p));

    private static bool IsGenerated(string path) => path.Split(Path.DirectorySeparatorChar).Any(p => p is "bin" or "obj" or "out" or ".git" or "TestResults" or "BenchmarkDotNet.Artifacts");

    private static string Name(string path) => Path.GetRelativePath(Root, path);

    private static string FindRoot()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Emu86.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests must run inside the repository");
        return folder;
    }

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex MarkdownLink();

    [GeneratedRegex(@"\bdocs/[a-z0-9-]+\.md\b")]
    private static partial Regex NamedDocument();
}
