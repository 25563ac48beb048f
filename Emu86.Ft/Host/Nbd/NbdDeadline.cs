// Until when an NBD server is waited for.
namespace Emu86.Ft.Host.Nbd;

/// <param name="WithinMs">How long in all, for people.</param>
/// <param name="AtMs">The end, by <see cref="Environment.TickCount64"/>.</param>
internal readonly record struct NbdDeadline(int WithinMs, long AtMs)
{
    /// <summary>Not positive when it is over.</summary>
    public long LeftMs => AtMs - Environment.TickCount64;

    public static NbdDeadline In(int milliseconds) => new(milliseconds, Environment.TickCount64 + milliseconds);

    /// <param name="failed">What the server did not do.</param>
    public NbdException Late(string failed) => new($"the server {failed} within {WithinMs / 1000.0:0.#} s");
}
