// Parsing of single option values; every mistake is a sentence.
using System.Globalization;
using System.Text;
using Emu86.Ft.Host;
using Emu86.Ft.Host.Etcd;
using Emu86.Ft.Host.Nbd;

namespace Emu86.Ft.Cli;

/// <summary>A bad value on the command line.</summary>
public sealed class UsageException(string message) : Exception(message);

internal static class Values
{
    /// <summary>"128M", "1G", "65536K", or bytes.</summary>
    public static long Size(string option, string text)
    {
        long unit = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 1L << 10, 'M' => 1L << 20, 'G' => 1L << 30, _ => 1 };
        string digits = unit == 1 || text.Length == 0 ? text : text[..^1];
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) || number <= 0 || number > long.MaxValue / (1L << 30))
        {
            throw new UsageException($"{option} takes a size such as 128M or 1G, not \"{text}\"");
        }
        return number * unit;
    }

    public static Endpoint Endpoint(string option, string text)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon].Trim('[', ']');
        if (colon < 0 || !int.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port > 65535)
        {
            throw new UsageException($"{option} takes HOST:PORT, not \"{text}\"");
        }
        return new Endpoint(host.Length == 0 ? "127.0.0.1" : host, port);
    }

    /// <summary>file:PATH or etcd:URL[,URL…].</summary>
    public static string Arbiter(string text)
    {
        if (text.StartsWith(EtcdAddress.Prefix, StringComparison.Ordinal)) return EtcdAddress.Parse("--arbiter", text).ToString();
        bool good = text.StartsWith(FileArbiter.Prefix, StringComparison.Ordinal) && text.Length > FileArbiter.Prefix.Length;
        return good ? text : throw new UsageException($"--arbiter takes file:PATH or etcd:URL, not \"{text}\"");
    }

    /// <summary>etcd:URL[,URL…][,name=GUEST], with what it implies.</summary>
    /// <param name="options">What was given otherwise.</param>
    /// <param name="text">The option's value.</param>
    /// <param name="isNamed">--name was given.</param>
    /// <param name="isListed">--backups was given: those come first.</param>
    public static RunOptions Cluster(RunOptions options, string text, bool isNamed, bool isListed)
    {
        const string key = "name=";
        string[] names = [.. text.Split(',').Where(p => p.StartsWith(key, StringComparison.Ordinal))];
        if (names.Length > 1 || names is [key]) throw new UsageException($"--cluster takes etcd:URL[,URL...][,name=GUEST], not \"{text}\"");
        string name = names.Length == 0 ? options.Name : names[0][key.Length..];
        if (isNamed && name != options.Name) throw new UsageException($"--name {options.Name} and --cluster with name={name} name different guests; give one name");
        string address = EtcdAddress.Parse("--cluster", string.Join(',', text.Split(',').Where(p => !p.StartsWith(key, StringComparison.Ordinal)))).ToString();
        return options with { Cluster = address, Arbiter = options.Arbiter ?? address, Name = name, Rejoin = true, Backups = isListed ? options.Backups : [] };
    }

    public static int Port(string option, string text)
    {
        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        if (!int.TryParse(hex ? text[2..] : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port is < 1 or > 0xffff)
        {
            throw new UsageException($"{option} takes an I/O port such as 0xf4, not \"{text}\"");
        }
        return port;
    }

    public static byte[] Mac(string text)
    {
        string[] parts = text.Split(':', '-');
        byte[] mac = new byte[6];
        bool good = parts.Length == 6;
        for (int n = 0; good && n < 6; n++) good = byte.TryParse(parts[n], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out mac[n]);
        if (!good) throw new UsageException($"--mac takes six hexadecimal bytes such as 52:54:00:12:34:56, not \"{text}\"");
        if ((mac[0] & 1) != 0) throw new UsageException($"--mac {text} is a multicast address; the lowest bit of the first byte must be 0");
        return mac;
    }

    /// <summary>PATH[,format=raw][,readonly]; the path may be nbd:HOST:PORT/EXPORT.</summary>
    public static DiskOption Disk(string option, string text)
    {
        string[] parts = text.Split(',');
        bool readOnly = false;
        foreach (string part in parts[1..])
        {
            if (part == "readonly") readOnly = true;
            else if (part.StartsWith("format=", StringComparison.Ordinal) && part != "format=raw") throw new UsageException($"{option}: disk format \"{part[7..]}\" is not supported; convert the image to raw, for example with: qemu-img convert -O raw");
            else if (part != "format=raw") throw new UsageException($"{option} takes PATH[,format=raw][,readonly], not \"{text}\"");
        }
        if (parts[0].Length == 0) throw new UsageException($"{option} takes PATH[,format=raw][,readonly], not \"{text}\"");
        return new DiskOption(parts[0], readOnly) { Nbd = NbdOf(option, parts[0]) };
    }

    private static NbdAddress? NbdOf(string option, string text)
    {
        bool isSecure = text.StartsWith(NbdAddress.SecurePrefix, StringComparison.Ordinal);
        if (!isSecure && !text.StartsWith(NbdAddress.Prefix, StringComparison.Ordinal)) return null;
        string prefix = isSecure ? NbdAddress.SecurePrefix : NbdAddress.Prefix, rest = text[prefix.Length..];
        int slash = rest.IndexOf('/');
        string export = slash < 0 ? "" : rest[(slash + 1)..];
        Endpoint at = Endpoint($"{option} {prefix}", slash < 0 ? rest : rest[..slash]);
        if (at.Port == 0) throw new UsageException($"{option} takes {prefix}HOST:PORT/EXPORT with the server's port, not \"{text}\"; NBD servers mostly have 10809");
        if (Encoding.UTF8.GetByteCount(export) > NbdAddress.ExportBytesMax) throw new UsageException($"{option}: the name of an NBD export has at most {NbdAddress.ExportBytesMax} bytes");
        return new NbdAddress(at, export, isSecure);
    }

    /// <summary>tcp:HOST:PORT-:PORT (the host part may be empty).</summary>
    public static HostForward Forward(string text)
    {
        string[] sides = text.StartsWith("tcp:", StringComparison.Ordinal) ? text[4..].Split('-', 2) : [];
        if (sides.Length != 2 || !sides[1].StartsWith(':')) throw new UsageException($"hostfwd takes tcp:HOST:PORT-:PORT, not \"{text}\"");
        Endpoint outside = Endpoint("hostfwd", sides[0]), inside = Endpoint("hostfwd", sides[1]);
        return new HostForward(outside.Host, outside.Port, inside.Port);
    }

    /// <summary>NAME[+NAME…][,…]: hosts, each with the names and addresses by which it is reached.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> CertNames(string text)
    {
        string[][] hosts = [.. text.Split(',').Select(h => h.Split('+'))];
        foreach (string name in hosts.SelectMany(h => h))
        {
            if (Uri.CheckHostName(name) is not (UriHostNameType.Dns or UriHostNameType.IPv4 or UriHostNameType.IPv6)) throw new UsageException($"--cert-name takes host names and addresses, not \"{name}\"");
        }
        if (hosts.Select(h => h[0]).Append("ca").GroupBy(n => n, StringComparer.OrdinalIgnoreCase).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new UsageException($"--cert-name: \"{twice.Key}\" would name two files; give each host another first name (ca is the authority's)");
        }
        return hosts;
    }

    /// <summary>none | user[,hostfwd=…]* | stream,addr=HOST:PORT | stream,path=SOCKET | tap,ifname=NAME.</summary>
    public static RunOptions Net(RunOptions options, string text)
    {
        string[] parts = text.Split(',');
        var forwards = new List<HostForward>();
        foreach (string part in parts[1..])
        {
            int equals = part.IndexOf('=');
            string key = equals < 0 ? part : part[..equals], value = equals < 0 ? "" : part[(equals + 1)..];
            switch (parts[0], key)
            {
                case ("user", "hostfwd"): forwards.Add(Forward(value)); break;
                case ("stream", "addr"): options = options with { StreamAt = Endpoint("--net stream,addr", value) }; break;
                case ("stream", "path"): options = options with { StreamPath = value }; break;
                case ("tap", "ifname"): options = options with { TapName = value }; break;
                default: throw new UsageException($"--net {parts[0]} has no setting \"{part}\"");
            }
        }
        options = options with { Forwards = forwards };
        return parts[0] switch
        {
            "none" when parts.Length == 1 => options with { Net = NetKind.None },
            "user" => options with { Net = NetKind.User },
            "stream" when options.StreamAt is not null != options.StreamPath is { Length: > 0 } => options with { Net = NetKind.Stream },
            "stream" => throw new UsageException("--net stream takes either addr=HOST:PORT or path=SOCKET"),
            "tap" when !string.IsNullOrEmpty(options.TapName) => options with { Net = NetKind.Tap },
            "tap" => throw new UsageException("--net tap takes ifname=NAME"),
            _ => throw new UsageException($"--net takes none, user, stream or tap, not \"{text}\""),
        };
    }

    /// <summary>wall | fixed[,ns-per-instruction=X].</summary>
    public static RunOptions Clock(RunOptions options, string text)
    {
        string[] parts = text.Split(',');
        if (parts is ["wall"]) return options with { FixedClock = false };
        if (parts is ["fixed"]) return options with { FixedClock = true };
        const string key = "ns-per-instruction=";
        if (parts is ["fixed", var rate] && rate.StartsWith(key, StringComparison.Ordinal)
            && decimal.TryParse(rate[key.Length..], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal ns) && ns is >= 0.01m and <= 10_000m)
        {
            return options with { FixedClock = true, ClockRate = (ulong)(ns * 4294967296m) };
        }
        throw new UsageException($"--clock takes wall or fixed[,ns-per-instruction=X] with X from 0.01 to 10000, not \"{text}\"");
    }

    public static DateTimeOffset? RtcBase(string text)
    {
        if (text == "utc") return null;
        if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time)) return time;
        throw new UsageException($"--rtc-base takes utc or an ISO time such as 2026-01-01T00:00:00, not \"{text}\"");
    }

    public static string OneOf(string option, string text, params Choice[] choices)
    {
        foreach (Choice choice in choices)
        {
            if (choice.Text == text) return choice.Instead is null ? text : throw NotYet($"{option} {text}", choice.Instead);
        }
        throw new UsageException($"{option} takes {string.Join(", ", choices.Where(c => c.Instead is null).Select(c => c.Text))}, not \"{text}\"");
    }

    /// <summary>An option of the design that this version does not have yet.</summary>
    public static UsageException NotYet(string what, string instead) => new($"{what} is not supported yet; {instead}");

    /// <summary>A value that an option takes; with <paramref name="Instead"/>: will take, and what to do until then.</summary>
    internal readonly record struct Choice(string Text, string? Instead)
    {
        public static implicit operator Choice(string text) => new(text, null);

        public static implicit operator Choice((string Text, string Instead) later) => new(later.Text, later.Instead);
    }
}
