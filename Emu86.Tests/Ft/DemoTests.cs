// The first command of the README, with its output in a file instead of on a screen.
namespace Emu86.Tests.Ft;

[Collection("processes")]
public sealed class DemoTests
{
    [Fact]
    public void The_demo_kills_its_primary_and_loses_nothing()
    {
        using PairProcess demo = new("--demo");
        Assert.Equal(0, demo.WaitForExit(90));
        Assert.Contains("[demo] SIGKILL to the primary", demo.Text);
        Assert.Matches(@"(?m)^  GET /count  [1-9]\d* requests sent, [1-9]\d* answered, 0 lost, on one connection$", demo.Text);
        Assert.Matches(@"(?m)^  TCP echo    [1-9]\d* requests sent, [1-9]\d* answered, 0 lost, on one connection$", demo.Text);
        Assert.Matches(@"(?m)^  counter     1 to (\d+): \1 numbers, none missing, none twice$", demo.Text);
        Assert.Matches(@"(?m)^  outage      \d+ ms without an answer", demo.Text);
        Assert.Matches(@"(?m)^  backup      went live epoch 2 at count \d+, outage \d+ ms$", demo.Text);
        Assert.Matches(@"(?m)^  state       [1-9]\d* hashes compared while both ran, all equal$", demo.Text);
        Assert.Matches(@"(?m)^  log         \d+\.\d kB/s", demo.Text);
        Assert.Matches(@"(?m)^  result      nothing was lost$", demo.Text);
    }

    [Fact]
    public void The_demo_refuses_a_guest_of_the_users()
    {
        using PairProcess demo = new("--demo", "--kernel", "vmlinuz");
        Assert.Equal(2, demo.WaitForExit(30));
        Assert.Contains("--demo runs the embedded guest", demo.Text);
    }
}
