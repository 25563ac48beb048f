// The loop that slows the primary, closed over a model of a backup.
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class LagControllerTests
{
    /// <summary>A primary that logs every 2 ms and a backup that executes at some share of its speed and says so a little later.</summary>
    private sealed class Model(long maxLagUs, long reportUs)
    {
        private const long StepUs = 1_000, RecordUs = 2_000;

        private readonly Queue<(long AtUs, double Work)> _log = new();
        private readonly Queue<(long AtUs, double Work)> _reports = new();
        private double _logged, _executed, _reported;
        private long _recordAtUs;

        public LagController Controller { get; } = new(maxLagUs);

        public long NowUs { get; private set; }

        /// <summary>Since the last <see cref="Forget"/>: the greatest lag, the speeds, and what the backup used of what it could have.</summary>
        public long LagMaxUs { get; private set; }

        public List<int> Speeds { get; } = [];

        public double Used => _used / _had;

        private double _used, _had;

        public void Forget()
        {
            (LagMaxUs, _used, _had) = (0, 0, 0);
            Speeds.Clear();
        }

        /// <param name="us">How long.</param>
        /// <param name="backup">The backup's speed at a time, 1 for the primary's full one.</param>
        public void Run(long us, Func<long, double> backup)
        {
            for (long end = NowUs + us; NowUs < end;)
            {
                NowUs += StepUs;
                _logged += StepUs * Controller.Speed / 1000.0;
                if (NowUs - _recordAtUs >= RecordUs)
                {
                    _recordAtUs = NowUs;
                    _log.Enqueue((NowUs, _logged));
                }
                double could = StepUs * backup(NowUs), does = Math.Min(could, _log.Count == 0 ? 0 : _log.Last().Work - _executed);
                _executed += does;
                (_used, _had) = (_used + does, _had + could);
                _reports.Enqueue((NowUs + reportUs, _executed));
                while (_reports.Count > 0 && _reports.Peek().AtUs <= NowUs) _reported = _reports.Dequeue().Work;
                while (_log.Count > 0 && _log.Peek().Work <= _reported + 1e-6) _log.Dequeue();
                long lagUs = _log.Count == 0 ? 0 : NowUs - _log.Peek().AtUs;
                LagMaxUs = Math.Max(LagMaxUs, lagUs);
                if (Controller.Update(NowUs, lagUs)) Speeds.Add(Controller.Speed);
            }
        }
    }

    /// <summary>Half of a processor: all the time a little, every other 5 ms, or 50 ms of every 100 as a quota gives it.</summary>
    private static double Half(long nowUs, long portionUs) => portionUs == 0 ? 0.5 : nowUs / portionUs % 2;

    [Theory]
    [InlineData(1_000_000, 0, 4_000)]
    [InlineData(1_000_000, 5_000, 62_000)]
    [InlineData(1_000_000, 50_000, 62_000)]
    [InlineData(100_000, 0, 4_000)]
    [InlineData(100_000, 5_000, 6_000)]
    public void A_backup_with_half_a_processor_uses_all_of_it_and_the_lag_stays_within_the_limit(long maxLagUs, long portionUs, long reportUs)
    {
        var model = new Model(maxLagUs, reportUs);
        model.Run(3_000_000, _ => 1.2);
        Assert.Equal(LagController.FullSpeed, model.Controller.Speed);
        model.Run(2_000_000, now => Half(now, portionUs));
        // From the first moment on.
        Assert.InRange(model.LagMaxUs, 0, maxLagUs);
        model.Forget();
        model.Run(20_000_000, now => Half(now, portionUs));
        Assert.InRange(model.LagMaxUs, 0, maxLagUs);
        Assert.InRange(model.Used, 0.97, 1);
        Assert.All(model.Speeds, s => Assert.InRange(s, 350, 650));
        model.Run(2 * maxLagUs, _ => 1.2);
        Assert.Equal(LagController.FullSpeed, model.Controller.Speed);
    }

    [Fact]
    public void A_backup_that_stands_still_for_a_moment_slows_nobody()
    {
        var model = new Model(1_000_000, 10_000);
        model.Run(3_000_000, _ => 1.2);
        model.Forget();
        for (int n = 0; n < 20; n++)
        {
            model.Run(100_000, _ => 0);
            model.Run(700_000, _ => 1.2);
        }
        Assert.Empty(model.Speeds);
    }

    [Fact]
    public void After_a_stall_full_speed_is_back_within_the_limit()
    {
        var model = new Model(100_000, 6_000);
        model.Run(1_000_000, _ => 1.2);
        model.Run(150_000, _ => 0);
        Assert.InRange(model.Controller.Speed, LagController.SpeedMin, 100);
        model.Run(100_000, _ => 1.2);
        Assert.Equal(LagController.FullSpeed, model.Controller.Speed);
    }
}
