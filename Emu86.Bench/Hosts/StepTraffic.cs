// A client that asks for one numbered step after the other and keeps its history.
using System.Diagnostics;
using System.Net.Sockets;
using Emu86.Bench.Soak;

namespace Emu86.Bench.Hosts;

/// <param name="service">The guest's port 80.</param>
/// <param name="path">Of the step; a text follows it when <paramref name="client"/> is given.</param>
/// <param name="client">First part of the texts that it writes; null: it writes none.</param>
/// <param name="pauseMs">At most between two steps.</param>
/// <param name="seed">Of the pauses.</param>
internal sealed class StepTraffic(Service service, string path, string? client, int pauseMs, int seed) : Traffic("steps")
{
    private readonly List<Step> _steps = [];
    private readonly Random _random = new(seed);

    public Step[] Steps
    {
        get
        {
            lock (_steps) return [.. _steps];
        }
    }

    protected override void Talk()
    {
        while (!Stopping)
        {
            string text = client is null ? "" : $"{client}-{_steps.Count}";
            long asked = Stopwatch.GetTimestamp(), answered = long.MaxValue, number = 0;
            try
            {
                number = GuestHttp.Number(service, path + text, AnswerWithin);
                answered = Stopwatch.GetTimestamp();
                Replied();
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // It may have been done.
            }
            lock (_steps) _steps.Add(new Step(asked, answered, number, text));
            Thread.Sleep(_random.Next(pauseMs));
        }
    }

    protected override void Close()
    {
    }
}
