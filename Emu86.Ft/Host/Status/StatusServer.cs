// The status port: a small HTTP/1.1 server, beyond loopback with TLS and certificates on both sides (docs/command-line.md, "What the program prints").
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Emu86.Ft.Cli;
using Emu86.Ft.Host.Links;

namespace Emu86.Ft.Host.Status;

/// <summary>The answer to a control operation: an HTTP status and a sentence.</summary>
public readonly record struct ControlAnswer(int Status, string Text)
{
    public static ControlAnswer Done(string text) => new(200, text);

    public static ControlAnswer Refused(string text) => new(409, text);
}

/// <summary>Serves /status, /metrics, / and POST /control/….</summary>
public sealed class StatusServer : IDisposable
{
    private const int RequestBytesMax = 8192;
    private const int CallersMax = 16;
    private const int TimeoutMs = 2000;

    /// <summary>How long the end waits for answers on their way.</summary>
    private const int AnswersMs = 300;

    private readonly LinkListener _listener;
    private readonly Func<StatusView> _view;
    private readonly Func<string, ControlAnswer?> _control;
    private int _callers;

    /// <param name="at">Where to listen. Throws <see cref="HostException"/> when it cannot be had.</param>
    /// <param name="tls">Whoever asks must show a certificate; null: plain, on loopback only.</param>
    /// <param name="say">Told why callers are refused.</param>
    /// <param name="view">What is shown; called on any thread.</param>
    /// <param name="control">Carries out an operation and returns when it is done; null when there is none of that name. Any thread.</param>
    public StatusServer(Endpoint at, TlsIdentity? tls, Action<string> say, Func<StatusView> view, Func<string, ControlAnswer?> control)
    {
        _view = view;
        _control = control;
        _listener = new LinkListener(at, "--status", tls, CallersMax, say, Serve);
    }

    /// <summary>Answers that are on their way still leave: the program may be about to end because of them.</summary>
    public void Dispose()
    {
        _listener.Dispose();
        SpinWait.SpinUntil(() => Volatile.Read(ref _callers) == 0, AnswersMs);
    }

    private void Serve(Visitor caller, Channel channel)
    {
        using (channel)
        {
            // Those who have asked and are answered; whoever is about to ask is one of the listener's strangers.
            if (Interlocked.Increment(ref _callers) <= 2 * CallersMax) Answer(caller, channel);
            Interlocked.Decrement(ref _callers);
        }
        caller.Known();
    }

    private void Answer(Visitor caller, Channel channel)
    {
        try
        {
            channel.ReceiveTimeoutMs = channel.SendTimeoutMs = TimeoutMs;
            if (Head(channel) is not { } head) return;
            caller.Known();
            string[] request = head[..head.IndexOf('\r')].Split(' ');
            (int status, string type, string body) = request.Length == 3 ? Answer(request[0], request[1], head) : (400, "text/plain", "this is not an HTTP request\n");
            byte[] content = Encoding.UTF8.GetBytes(body);
            channel.Send([.. Encoding.ASCII.GetBytes($"HTTP/1.1 {status} {(HttpStatusCode)status}\r\nContent-Type: {type}; charset=utf-8\r\nContent-Length: {content.Length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"), .. content]);
            channel.EndSending();
        }
        catch (IOException)
        {
            // The caller has gone.
        }
    }

    /// <summary>A request up to its empty line; null when it ends before, or is too long.</summary>
    private static string? Head(Channel channel)
    {
        byte[] buffer = new byte[RequestBytesMax];
        int count = 0;
        while (buffer.AsSpan(0, count).IndexOf("\r\n\r\n"u8) < 0)
        {
            int got = count < buffer.Length ? channel.Receive(buffer.AsSpan(count)) : 0;
            if (got == 0) return null;
            count += got;
        }
        return Encoding.ASCII.GetString(buffer, 0, count);
    }

    private (int Status, string Type, string Body) Answer(string method, string target, string head)
    {
        if (method == "GET" && target == "/status") return (200, "application/json", Json(_view()));
        if (method == "GET" && target == "/metrics") return (200, "text/plain", Metrics(_view()));
        if (method == "GET" && target == "/") return (200, "text/html", Page(_view()));
        if (target.StartsWith("/control/", StringComparison.Ordinal))
        {
            if (method != "POST") return (405, "text/plain", "control operations are POST requests\n");
            // A page of another site, open in the user's browser, must not switch the guest off.
            if (head.Contains("\r\nOrigin:", StringComparison.OrdinalIgnoreCase)) return (403, "text/plain", "control operations are not for web pages\n");
            return _control(target["/control/".Length..]) is { } answer ? (answer.Status, "text/plain", answer.Text + "\n") : (404, "text/plain", "there is no such control operation\n");
        }
        return (404, "text/plain", "there are /, /status, /metrics and POST /control/{pause,resume,reset,powerbutton,poweroff,snapshot,medium?drive=cdrom&path=FILE,move?to=HOST:PORT}\n");
    }

    private static string Json(StatusView v) => JsonSerializer.Serialize(new Dictionary<string, object>
    {
        ["role"] = v.Role,
        ["engine"] = v.Engine,
        ["epoch"] = v.Epoch,
        ["protected"] = v.Protected,
        ["paused"] = v.Paused,
        ["replicas"] = v.Replicas,
        ["quorum"] = v.Quorum,
        ["backups"] = v.Backups.Select(b => new Dictionary<string, object> { ["address"] = b.Address, ["armed"] = b.Armed, ["lagMs"] = b.LagUs / 1000.0 }),
        ["diskProblem"] = v.DiskProblem ?? "",
        ["instructionCount"] = v.Position.Count,
        ["virtualTimeNs"] = v.Position.VirtualTimeNs,
        ["mips"] = Math.Round(v.Mips, 3),
        ["lagMs"] = v.LagUs / 1000.0,
        ["logBytes"] = v.LogBytesSent,
        ["logBacklogBytes"] = v.LogBytes,
        ["logBytesPerSecond"] = Math.Round(v.LogBytesPerSecond),
        ["logRecords"] = v.LogRecords,
        ["outputsHeld"] = v.OutputsHeld,
        ["outputDelayMicroseconds"] = new Dictionary<string, long> { ["p50"] = v.OutputDelayUs.P50, ["p99"] = v.OutputDelayUs.P99 },
        ["cloneProgress"] = Math.Round(v.CloneProgress, 3),
        ["hashesChecked"] = v.HashesChecked,
        ["diverged"] = v.Diverged,
        ["failovers"] = v.Failovers,
    });

    private static string Metrics(StatusView v)
    {
        StringBuilder text = new();
        void Line(string name, string type, string help, double value, string labels = "") =>
            text.Append(CultureInfo.InvariantCulture, $"# HELP emu86_{name} {help}\n# TYPE emu86_{name} {type}\nemu86_{name}{labels} {value}\n");
        Line("role", "gauge", "1 for the role that this process has.", 1, $"{{role=\"{v.Role}\"}}");
        Line("engine", "gauge", "1 for the engine that executes the guest.", 1, $"{{engine=\"{v.Engine}\"}}");
        Line("epoch", "gauge", "Epoch of the arbiter.", v.Epoch);
        Line("protected", "gauge", "1 when a failure of the live host loses nothing.", v.Protected ? 1 : 0);
        Line("backups", "gauge", "Backups that may go live.", v.Backups.Count(b => b.Armed));
        Line("disk_waits", "gauge", "1 while the guest, or what it has written, waits because a disk of the host fails.", v.DiskProblem is null ? 0 : 1);
        Line("instructions_total", "counter", "Position of the guest in instructions.", v.Position.Count);
        Line("virtual_time_seconds", "counter", "Position of the guest in time.", v.Position.VirtualTimeNs / 1e9);
        Line("mips", "gauge", "Million instructions in the last second.", v.Mips);
        Line("lag_seconds", "gauge", "Age of the oldest log record that the backup has not executed.", v.LagUs / 1e6);
        Line("log_bytes_total", "counter", "Bytes of log sent to backups.", v.LogBytesSent);
        Line("log_backlog_bytes", "gauge", "Log kept for the backup.", v.LogBytes);
        Line("log_bytes_per_second", "gauge", "Log sent in the last second.", v.LogBytesPerSecond);
        Line("log_records_total", "counter", "Log records of this session.", v.LogRecords);
        Line("outputs_held", "gauge", "Outputs that wait.", v.OutputsHeld);
        text.Append(CultureInfo.InvariantCulture, $"# HELP emu86_output_delay_seconds Wait of outputs for their acknowledgement.\n# TYPE emu86_output_delay_seconds summary\nemu86_output_delay_seconds{{quantile=\"0.5\"}} {v.OutputDelayUs.P50 / 1e6}\nemu86_output_delay_seconds{{quantile=\"0.99\"}} {v.OutputDelayUs.P99 / 1e6}\n");
        Line("clone_progress_ratio", "gauge", "How much of a clone is done; 0 when none is under way.", v.CloneProgress);
        Line("hashes_checked_total", "counter", "State hashes equal on both sides.", v.HashesChecked);
        Line("diverged_total", "counter", "State hashes that differed.", v.Diverged);
        Line("failovers_total", "counter", "How often this process went live.", v.Failovers);
        return text.ToString();
    }

    private static string Page(StatusView v) => string.Create(CultureInfo.InvariantCulture, $$"""
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Emu86 {{v.Role}}</title>
        <style>body{font-family:sans-serif;margin:2em}td{padding:.2em 1em .2em 0}</style></head><body>
        <h1>Emu86: {{v.Role}}, epoch {{v.Epoch}}, {{(v.Protected ? "protected" : "unprotected")}}{{(v.Paused ? ", paused" : "")}}</h1>
        <p>{{WebUtility.HtmlEncode(v.DiskProblem)}}</p>
        <table>
        <tr><td>Engine</td><td>{{v.Engine}}</td></tr>
        <tr><td>Instructions</td><td>{{v.Position.Count:N0}}</td></tr>
        <tr><td>Guest time</td><td>{{v.Position.VirtualTimeNs / 1e9:F3}} s</td></tr>
        <tr><td>Speed</td><td>{{v.Mips:F1}} million instructions a second</td></tr>
        <tr><td>Backups that may go live</td><td>{{v.Backups.Count(b => b.Armed)}} of {{v.Replicas}}</td></tr>
        <tr><td>Lag of the slowest backup</td><td>{{v.LagUs / 1000.0:F1}} ms</td></tr>
        <tr><td>Log</td><td>{{v.LogRecords:N0}} records, {{v.LogBytesPerSecond / 1000:F1}} kB/s</td></tr>
        <tr><td>Outputs held</td><td>{{v.OutputsHeld}} (delay: half below {{v.OutputDelayUs.P50}} µs, 99 % below {{v.OutputDelayUs.P99}} µs)</td></tr>
        <tr><td>Done of a clone under way</td><td>{{v.CloneProgress * 100:F0}} %</td></tr>
        <tr><td>State hashes equal</td><td>{{v.HashesChecked}}</td></tr>
        <tr><td>Diverged</td><td>{{v.Diverged}}</td></tr>
        <tr><td>Went live</td><td>{{v.Failovers}}</td></tr>
        </table></body></html>

        """);
}
