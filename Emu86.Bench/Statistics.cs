namespace Emu86.Bench;

internal static class Statistics
{
    /// <summary>The middle value, or the mean of the two in the middle; of at least one value.</summary>
    public static double Median(this double[] values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
