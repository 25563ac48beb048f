using System.Globalization;

namespace Emu86.Bench;

internal static class Statistics
{
    /// <summary>The middle value, or the mean of the two in the middle; of at least one value.</summary>
    public static double Median(this double[] values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>The least value that is not below this share of all values; of at least one.</summary>
    public static double Quantile(this IReadOnlyCollection<double> values, double share)
    {
        double[] sorted = [.. values.Order()];
        return sorted[Math.Clamp((int)Math.Ceiling(share * sorted.Length) - 1, 0, sorted.Length - 1)];
    }

    /// <summary>Least, median, 99th percentile and greatest in words.</summary>
    public static string Spread(this IReadOnlyCollection<double> values, string format = "F0")
    {
        string At(double share) => values.Quantile(share).ToString(format, CultureInfo.InvariantCulture);
        return $"min {At(0)}, median {At(0.5)}, p99 {At(0.99)}, max {At(1)}";
    }
}
