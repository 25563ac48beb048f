// A bit of a backup's machine flips, as failing hardware would do it: for tests of what is found then. Not in a release build.
#if EMU86_TEST_HOOKS
using Emu86.Cpu.Memory;
using Emu86.Devices;

namespace Emu86.Ft.Run.Pair;

/// <summary>EMU86_TEST_FLIP is COUNT and a place: "clean", a page that the guest does not use; "written", one that it has written since the last
/// state hash; "register". No page is marked as written by it.</summary>
internal sealed unsafe class TestDamage
{
    private readonly ulong _count;
    private readonly string _place;
    private readonly Action<string> _say;
    private bool _isDone;

    private TestDamage(ulong count, string place, Action<string> say) => (_count, _place, _say) = (count, place, say);

    /// <summary>Null: nothing is asked for.</summary>
    public static TestDamage? Wanted(Action<string> say) =>
        Environment.GetEnvironmentVariable("EMU86_TEST_FLIP")?.Split(' ') is [var count, var place] ? new TestDamage(ulong.Parse(count, System.Globalization.CultureInfo.InvariantCulture), place, say) : null;

    /// <summary>Where the machine stands, between two slices.</summary>
    public void Apply(Machine machine)
    {
        if (_isDone || machine.Position.Count < _count) return;
        PhysicalMemory memory = machine.Board.Memory;
        uint page = (memory.RamBytes >> 12) - 1;
        string flipped = "bit 4 of DR2";
        if (_place == "register") machine.Board.Processor.Context->S.Dr[2] ^= 0x10;
        else
        {
            if (_place == "written")
            {
                while (page > 0 && (memory.Bits[page] & PageBits.Dirty) == 0) page--;
                if (page == 0) return;
            }
            // Behind what is in use, where the page has zeros at its end.
            memory.RamPage(page)[0xff3] ^= 8;
            flipped = $"bit 3 of the byte at {(page << 12) + 0xff3:x}h";
        }
        _isDone = true;
        _say($"test: {flipped} flips at count {machine.Position.Count}");
    }
}
#endif
