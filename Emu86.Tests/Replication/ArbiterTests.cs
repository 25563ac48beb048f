// The arbiter's rules, the arbiter in a directory, and the side files of disks.
using System.Text;
using System.Text.Json;
using Emu86.Ft.Host;
using Emu86.Ft.Replication;

namespace Emu86.Tests.Replication;

public sealed class ArbiterTests : IDisposable
{
    private static readonly Guid A = new(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    private static readonly Guid B = new(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    private readonly string _directory = Path.Combine(Path.GetTempPath(), $"emu86-arbiter-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_directory)) Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_claim_is_won_from_the_expected_epoch_only_and_by_a_member_only()
    {
        ArbiterValue value = Value(3, A, members: [B]);
        Assert.Equal(ArbiterVerdict.Done, Decide(value, ArbiterRequestKind.Claim, 3, Value(4, B)));
        Assert.Equal(ArbiterVerdict.Done, Decide(value, ArbiterRequestKind.Claim, 3, Value(4, A)));
        Assert.Equal(ArbiterVerdict.Lost, Decide(value, ArbiterRequestKind.Claim, 2, Value(3, B)));
        Assert.Equal(ArbiterVerdict.Lost, Decide(value, ArbiterRequestKind.Claim, 4, Value(5, B)));
        Assert.Equal(ArbiterVerdict.Lost, Decide(value with { Members = [] }, ArbiterRequestKind.Claim, 3, Value(4, B)));
        Assert.Equal(ArbiterVerdict.Lost, Decide(value with { State = GuestState.Off }, ArbiterRequestKind.Claim, 3, Value(4, B)));
        Assert.Equal(ArbiterVerdict.Lost, Decide(null, ArbiterRequestKind.Claim, 0, Value(1, B)));
    }

    [Fact]
    public void A_claim_whose_answer_was_lost_gives_the_same_answer_again()
    {
        FileArbiter arbiter = new(_directory, "guest");
        Assert.Equal(ArbiterVerdict.Done, arbiter.Ask(new(1, ArbiterRequestKind.Start, 0, Value(1, A))).Verdict);
        Assert.Equal(ArbiterVerdict.Done, arbiter.Ask(new(2, ArbiterRequestKind.Claim, 1, Value(2, A))).Verdict);
        Assert.Equal(ArbiterVerdict.Done, arbiter.Ask(new(3, ArbiterRequestKind.Claim, 1, Value(2, A))).Verdict);
        Assert.Equal(ArbiterVerdict.Lost, arbiter.Ask(new(4, ArbiterRequestKind.Claim, 1, Value(2, B))).Verdict);
    }

    [Fact]
    public void The_file_arbiter_remembers_and_keeps_guests_apart()
    {
        new FileArbiter(_directory, "a/b").Ask(new(1, ArbiterRequestKind.Start, 0, Value(1, A)));
        FileArbiter again = new(_directory, "a/b");
        ArbiterAnswer answer = again.Ask(new(2, ArbiterRequestKind.Read, 0, null));
        Assert.Equal((1ul, A, "host:1"), (answer.Current!.Epoch, answer.Current.Owner, answer.Current.OwnerAddress));
        Assert.Null(new FileArbiter(_directory, "other").Ask(new(3, ArbiterRequestKind.Read, 0, null)).Current);
        Assert.Equal(again.Identity, new FileArbiter(_directory, "other").Identity);
    }

    [Fact]
    public void Of_many_claims_at_once_exactly_one_wins_each_epoch()
    {
        Guid[] all = [.. Enumerable.Range(1, 6).Select(i => new Guid(i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))];
        new FileArbiter(_directory, "guest").Ask(new(1, ArbiterRequestKind.Start, 0, Value(1, all[0], all)));
        for (ulong epoch = 1; epoch < 12; epoch++)
        {
            int won = 0;
            ulong from = epoch;
            Parallel.ForEach(all, claimant =>
            {
                FileArbiter arbiter = new(_directory, "guest");
                if (arbiter.Ask(new(1, ArbiterRequestKind.Claim, from, Value(from + 1, claimant, all))).Verdict == ArbiterVerdict.Done) Interlocked.Increment(ref won);
            });
            Assert.Equal(1, won);
        }
    }

    [Fact]
    public void A_damaged_arbiter_file_is_never_taken_for_an_answer()
    {
        FileArbiter arbiter = new(_directory, "guest");
        arbiter.Ask(new(1, ArbiterRequestKind.Start, 0, Value(1, A)));
        string file = Directory.GetFiles(Path.Combine(_directory, "guest")).Single();
        File.WriteAllText(file, File.ReadAllText(file).Replace("\"Epoch\": 1", "\"Epoch\": 7", StringComparison.Ordinal));
        Assert.Equal(ArbiterVerdict.Unavailable, arbiter.Ask(new(2, ArbiterRequestKind.Read, 0, null)).Verdict);
        Assert.Contains("damaged", arbiter.Problem);
    }

    [Fact]
    public void A_stored_value_of_the_first_format_is_read_and_one_of_an_unknown_format_refused_with_a_sentence()
    {
        string first = $$"""{"Epoch":3,"Owner":"{{A}}","OwnerAddress":"host:1","State":1,"Members":["{{B}}"],"CurrentDisks":[]}""";
        ArbiterValue value = ArbiterValueFormat.Read(Encoding.UTF8.GetBytes(first));
        Assert.Equal((3ul, 1, new ArbiterMember(B, "", 0)), (value.Epoch, value.Quorum, value.Members.Single()));
        value = value with { Members = [new(A, "host:2", 9), new(B, "host:3", 8)], Quorum = 1, Configuration = 4 };
        string stored = ArbiterValueFormat.Write(value, indented: false);
        ArbiterValue again = ArbiterValueFormat.Read(Encoding.UTF8.GetBytes(stored));
        Assert.Equal(value.Members, again.Members);
        Assert.Equal((1, 4ul), (again.Quorum, again.Configuration));
        string later = stored.Replace("\"Format\":2", "\"Format\":3", StringComparison.Ordinal);
        Assert.Contains("it has the format 3; this program knows 2 and before", Assert.Throws<JsonException>(() => ArbiterValueFormat.Read(Encoding.UTF8.GetBytes(later))).Message);
        string torn = stored.Replace("\"Quorum\":1", "\"Quorum\":3", StringComparison.Ordinal);
        Assert.Contains("a quorum of 3 of 2 members", Assert.Throws<JsonException>(() => ArbiterValueFormat.Read(Encoding.UTF8.GetBytes(torn))).Message);
    }

    [Fact]
    public void A_directory_that_is_no_longer_the_same_gives_no_answer()
    {
        FileArbiter arbiter = new(_directory, "guest");
        arbiter.Ask(new(1, ArbiterRequestKind.Start, 0, Value(1, A)));
        string away = _directory + "-away";
        Directory.Move(_directory, away);
        Assert.Equal(ArbiterVerdict.Unavailable, arbiter.Ask(new(2, ArbiterRequestKind.Read, 0, null)).Verdict);
        Assert.NotEqual(arbiter.Identity, new FileArbiter(_directory, "guest").Identity);
        Assert.Equal(ArbiterVerdict.Unavailable, arbiter.Ask(new(3, ArbiterRequestKind.Claim, 1, Value(2, A))).Verdict);
        Assert.Contains("is its storage mounted?", arbiter.Problem);
        Directory.Delete(_directory, recursive: true);
        Directory.Move(away, _directory);
        Assert.Equal(ArbiterVerdict.Done, arbiter.Ask(new(4, ArbiterRequestKind.Claim, 1, Value(2, A))).Verdict);
    }

    [Fact]
    public void Of_two_arbiters_the_identity_is_compared_and_not_where_a_side_finds_it()
    {
        MachineIdentity machine = new("guest", A, 1, "1234 file:/a", []);
        Assert.Null(machine.RefuseClone("guest", "1234 file:/b"));
        Assert.Contains("uses the arbiter 5678 file:/a, the primary uses 1234 file:/a", machine.RefuseClone("guest", "5678 file:/a"));
    }

    [Fact]
    public void A_side_file_comes_back_and_a_damaged_one_says_so()
    {
        Directory.CreateDirectory(_directory);
        string image = Path.Combine(_directory, "disk.img");
        Assert.Null(DiskSideFile.Read(image));
        DiskSideFile side = new(A, "host:/disk.img", 4, DiskCopyState.Current);
        side.Write(image);
        (side with { State = DiskCopyState.Behind }).Write(image);
        Assert.Equal(side with { State = DiskCopyState.Behind }, DiskSideFile.Read(image));
        File.AppendAllText(DiskSideFile.PathOf(image), "x");
        Assert.Contains("damaged", Assert.Throws<InvalidDataException>(() => DiskSideFile.Read(image)).Message);
    }

    [Fact]
    public void Starting_on_a_copy_that_is_not_current_is_refused_naming_the_current_one()
    {
        DiskSideFile side = new(A, "one:/d", 4, DiskCopyState.Current);
        Assert.Null(DiskSideFile.RefuseStart("d", null, ["two:/d"], force: false));
        Assert.Null(DiskSideFile.RefuseStart("d", side, ["one:/d", "two:/d"], force: false));
        Assert.Null(DiskSideFile.RefuseStart("d", side, [], force: false));
        Assert.Contains("two:/d is current", DiskSideFile.RefuseStart("d", side, ["two:/d"], force: false));
        Assert.Contains("mixture", DiskSideFile.RefuseStart("d", side with { State = DiskCopyState.Syncing }, ["one:/d"], force: false));
        Assert.Contains("behind", DiskSideFile.RefuseStart("d", side with { State = DiskCopyState.Behind }, [], force: false));
        Assert.Null(DiskSideFile.RefuseStart("d", side, ["two:/d"], force: true));
    }

    [Fact]
    public void A_backup_takes_an_image_of_the_same_disk_only()
    {
        DiskSideFile side = new(A, "one:/d", 4, DiskCopyState.Behind);
        Assert.Null(DiskSideFile.RefuseSync("d", exists: false, null, A, overwrite: false));
        Assert.Null(DiskSideFile.RefuseSync("d", exists: true, side, A, overwrite: false));
        Assert.Contains("--overwrite-disk", DiskSideFile.RefuseSync("d", exists: true, side, B, overwrite: false));
        Assert.Contains("--overwrite-disk", DiskSideFile.RefuseSync("d", exists: true, null, A, overwrite: false));
        Assert.Null(DiskSideFile.RefuseSync("d", exists: true, null, A, overwrite: true));
    }

    private static ArbiterValue Value(ulong epoch, Guid owner, IReadOnlyList<Guid>? members = null) =>
        new(epoch, owner, "host:1", GuestState.Live, [.. (members ?? []).Select(m => new ArbiterMember(m, "", 0))], ["one:/d"]);

    private static ArbiterVerdict Decide(ArbiterValue? current, ArbiterRequestKind kind, ulong expected, ArbiterValue wanted) =>
        ArbiterRules.Decide(current, new(1, kind, expected, wanted), out _);
}
