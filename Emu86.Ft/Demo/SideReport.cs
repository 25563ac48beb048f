// What a side says about itself on its status port (docs/command-line.md), and the thread that asks.
using System.Text.Json;

namespace Emu86.Ft.Demo;

/// <summary>The fields of /status that the demo shows.</summary>
internal sealed record SideReport
{
    public string Role { get; init; } = "";
    public long Epoch { get; init; }
    public bool Protected { get; init; }
    public long InstructionCount { get; init; }
    public double LagMs { get; init; }
    /// <summary>Log kept until the backup has it.</summary>
    public long LogBacklogBytes { get; init; }

    public double LogBytesPerSecond { get; init; }
    public long OutputsHeld { get; init; }
    public double DelayP50Us { get; init; }
    public double DelayP99Us { get; init; }
    public long HashesChecked { get; init; }
    public bool Diverged { get; init; }

    public static SideReport Parse(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement e = document.RootElement;
        JsonElement delay = e.TryGetProperty("outputDelayMicroseconds", out JsonElement d) && d.ValueKind == JsonValueKind.Object ? d : e;
        return new SideReport
        {
            Role = e.TryGetProperty("role", out JsonElement role) ? role.GetString() ?? "" : "",
            Epoch = (long)Number(e, "epoch"),
            Protected = Number(e, "protected") != 0,
            InstructionCount = (long)Number(e, "instructionCount"),
            LagMs = Number(e, "lagMs"),
            LogBacklogBytes = (long)Number(e, "logBacklogBytes"),
            LogBytesPerSecond = Number(e, "logBytesPerSecond"),
            OutputsHeld = (long)Number(e, "outputsHeld"),
            DelayP50Us = Number(delay, "p50"),
            DelayP99Us = Number(delay, "p99"),
            HashesChecked = (long)Number(e, "hashesChecked"),
            Diverged = Number(e, "diverged") != 0,
        };
    }

    private static double Number(JsonElement e, string name) => !e.TryGetProperty(name, out JsonElement value) ? 0 : value.ValueKind switch
    {
        JsonValueKind.Number => value.GetDouble(),
        JsonValueKind.True => 1,
        _ => 0,
    };
}

/// <summary>Asks one side five times a second for as long as the demo runs.</summary>
internal sealed class SideWatch : IDisposable
{
    private static readonly TimeSpan Every = TimeSpan.FromMilliseconds(200);

    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(1) };
    private readonly Uri _address;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _ended = new();
    private volatile SideReport? _last;
    private volatile bool _answers;

    public SideWatch(int port)
    {
        _address = new Uri($"http://127.0.0.1:{port}/status");
        _thread = new Thread(Ask) { IsBackground = true, Name = "demo status" };
        _thread.Start();
    }

    /// <summary>The last answer, however old; null before the first.</summary>
    public SideReport? Last => _last;

    /// <summary>Whether the last question was answered.</summary>
    public bool Answers => _answers;

    private void Ask()
    {
        do
        {
            try
            {
                using HttpResponseMessage response = _http.Send(new HttpRequestMessage(HttpMethod.Get, _address));
                using var reader = new StreamReader(response.Content.ReadAsStream());
                _last = SideReport.Parse(reader.ReadToEnd());
                _answers = true;
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException or IOException or JsonException)
            {
                _answers = false;
            }
        }
        while (!_ended.Wait(Every));
    }

    public void Dispose()
    {
        _ended.Set();
        _thread.Join();
        _http.Dispose();
        _ended.Dispose();
    }
}
