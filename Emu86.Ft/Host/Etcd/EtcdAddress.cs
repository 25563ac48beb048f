// etcd:URL[,URL…], as it stands on the command line and in the side files of disks.
using Emu86.Ft.Cli;

namespace Emu86.Ft.Host.Etcd;

/// <summary>The members of one etcd cluster; any of them serves.</summary>
public sealed record EtcdAddress(IReadOnlyList<Uri> Members)
{
    public const string Prefix = "etcd:";

    private const int DefaultPort = 2379;

    /// <summary>Throws <see cref="UsageException"/> with what is wrong.</summary>
    /// <param name="option">What is parsed, for the sentence.</param>
    /// <param name="text">With the prefix.</param>
    public static EtcdAddress Parse(string option, string text)
    {
        if (!text.StartsWith(Prefix, StringComparison.Ordinal)) throw Bad(option, text);
        return new EtcdAddress([.. text[Prefix.Length..].Split(',').Select(url => Member(url) ?? throw Bad(option, text))]);
    }

    public override string ToString() => Prefix + string.Join(',', Members.Select(Name));

    /// <summary>A member as it is named in sentences.</summary>
    internal static string Name(Uri member) => member.GetLeftPart(UriPartial.Authority);

    private static UsageException Bad(string option, string text) => new($"{option} takes etcd:URL[,URL...] such as etcd:http://127.0.0.1:2379, not \"{text}\"");

    private static Uri? Member(string text)
    {
        bool good = Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https" && url.Host.Length > 0
            && url.PathAndQuery == "/" && url.Fragment.Length == 0 && url.UserInfo.Length == 0;
        if (!good) return null;
        bool isNamed = text.TrimEnd('/').EndsWith($":{url!.Port}", StringComparison.Ordinal);
        return url.IsDefaultPort && !isNamed ? new UriBuilder(url) { Port = DefaultPort }.Uri : url;
    }
}
