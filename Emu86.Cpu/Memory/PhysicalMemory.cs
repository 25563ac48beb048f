// The physical address space: RAM, ROM, device windows, 4 KiB pages.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Emu86.Cpu.Memory;

/// <summary>What is special about a physical page.</summary>
[Flags]
public enum PageBits : byte
{
    None = 0,

    /// <summary>Decoded code lies in the page: a write must invalidate it.</summary>
    Code = 1,

    /// <summary>The page was read by a page walk: a write must drop what was derived from it.</summary>
    PageTable = 2,

    /// <summary>Written since the memory hash was last brought up to date.</summary>
    Dirty = 4,
}

/// <summary>Whom to tell when memory that engines cache things from changes.</summary>
public interface IPageWatcher
{
    /// <summary>Bytes of a page that holds decoded code were, or are about to be, written.</summary>
    void CodeWritten(uint page);

    /// <summary>A page that page walks read was written at <paramref name="offset"/>.</summary>
    void PageTableWritten(uint page, uint offset, uint size);

    /// <summary>What pages map to has changed (ROM shadowing, windows, A20).</summary>
    void MappingChanged();
}

/// <summary>Keeps what pages held.</summary>
public interface IPageKeeper
{
    /// <summary>A RAM page that was clean is about to be written for the first time since the memory hash was last brought up to date.</summary>
    void BeforeFirstWrite(uint page);
}

/// <summary>Physical memory. RAM below <see cref="RamBytes"/>; the board places ROM and windows over it or above it.
/// Unclaimed addresses read as all ones and ignore writes.</summary>
public sealed unsafe class PhysicalMemory : IDisposable
{
    private const int Pages = 1 << 20;

    private readonly HostMemory _host;
    private readonly byte* _ram;
    private readonly List<WindowRange> _windows = [];

    private sealed record WindowRange(uint First, uint Size, IMemoryWindow Window);

    /// <param name="ramBytes">1 MiB to 3 GiB, a multiple of 4 KiB.</param>
    public PhysicalMemory(uint ramBytes)
    {
        Check.That(ramBytes % 4096 == 0 && ramBytes is >= 0x10_0000 and <= 0xc000_0000);
        RamBytes = ramBytes;
        _host = new HostMemory(ramBytes);
        _ram = _host.Start;
        // calloc'ed: untouched parts cost no memory.
        ReadPages = (nint*)NativeMemory.AllocZeroed(Pages, (nuint)sizeof(nint));
        WritePages = (nint*)NativeMemory.AllocZeroed(Pages, (nuint)sizeof(nint));
        Bits = (PageBits*)NativeMemory.AllocZeroed(Pages, 1);
        CodeChunks = (ulong*)NativeMemory.AllocZeroed(Pages, sizeof(ulong));
        for (uint page = 0; page < ramBytes >> 12; page++) MapRam(page, true, true);
    }

    public uint RamBytes { get; }

    /// <summary>By page: where reads find the page's bytes, 0 when it is not backed by memory.</summary>
    public nint* ReadPages { get; }

    /// <summary>By page: where writes go, 0 when they are dropped or go to a window.</summary>
    public nint* WritePages { get; }

    public PageBits* Bits { get; }

    /// <summary>By page: bit n set when decoded code lies in bytes 64n to 64n+63.</summary>
    public ulong* CodeChunks { get; }

    public IPageWatcher? Watcher { get; set; }

    /// <summary>Told of first writes; null: nobody wants to know.</summary>
    public IPageKeeper? Keeper { get; set; }

    /// <summary>The page is about to be written.</summary>
    public void MarkDirty(uint page)
    {
        if ((Bits[page] & PageBits.Dirty) != 0) return;
        Keeper?.BeforeFirstWrite(page);
        Bits[page] |= PageBits.Dirty;
    }

    /// <summary>The page's RAM, whatever is mapped over it.</summary>
    public Span<byte> RamPage(uint page) => new(_ram + ((nuint)page << 12), 4096);

    /// <summary>Chooses what a page below <see cref="RamBytes"/> does: RAM or nothing, for reads and writes apart (PAM).</summary>
    public void MapRam(uint page, bool read, bool write)
    {
        Check.That(page < RamBytes >> 12);
        nint host = (nint)_ram + ((nint)page << 12);
        ReadPages[page] = read ? host : 0;
        WritePages[page] = write ? host : 0;
        Watcher?.MappingChanged();
    }

    /// <summary>Reads of the page come from <paramref name="rom"/> (4 KiB of native memory that outlives this object); writes are
    /// dropped or go to the RAM below.</summary>
    public void MapRom(uint page, nint rom, bool writeToRam)
    {
        ReadPages[page] = rom;
        WritePages[page] = writeToRam && page < RamBytes >> 12 ? (nint)_ram + ((nint)page << 12) : 0;
        Watcher?.MappingChanged();
    }

    /// <summary>Gives a range (whole pages) to a device.</summary>
    public void MapWindow(uint first, uint size, IMemoryWindow window)
    {
        Check.That((first & 0xfff) == 0 && (size & 0xfff) == 0 && size > 0);
        foreach (WindowRange other in _windows) Check.That(first + (ulong)size <= other.First || other.First + (ulong)other.Size <= first);
        _windows.Add(new WindowRange(first, size, window));
        SetBacking(first, size, ram: false);
    }

    /// <summary>Takes a range back; RAM below comes to light again.</summary>
    public void UnmapWindow(uint first, uint size)
    {
        _windows.RemoveAll(w => w.First == first && w.Size == size);
        SetBacking(first, size, ram: true);
    }

    /// <summary>Reads bytes as the processor's bus would (also devices' DMA).</summary>
    public void Read(uint physical, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            int chunk = int.Min(destination.Length, 4096 - (int)(physical & 0xfff));
            nint host = ReadPages[physical >> 12];
            if (host != 0) new ReadOnlySpan<byte>((byte*)host + (physical & 0xfff), chunk).CopyTo(destination);
            else for (int n = 0; n < chunk; n++) destination[n] = (byte)ReadWindow(physical + (uint)n, 1);
            destination = destination[chunk..];
            physical += (uint)chunk;
        }
    }

    /// <summary>Writes bytes (devices' DMA, loaders); decoded code and translations derived from them are dropped.</summary>
    public void Write(uint physical, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            int chunk = int.Min(source.Length, 4096 - (int)(physical & 0xfff));
            uint page = physical >> 12;
            if (WritePages[page] != 0)
            {
                if ((Bits[page] & PageBits.Code) != 0) Watcher!.CodeWritten(page);
                MarkDirty(page);
                source[..chunk].CopyTo(new Span<byte>((byte*)WritePages[page] + (physical & 0xfff), chunk));
                if ((Bits[page] & PageBits.PageTable) != 0) Watcher!.PageTableWritten(page, physical & 0xfff, (uint)chunk);
            }
            else
            {
                for (int n = 0; n < chunk; n++) WriteWindow(physical + (uint)n, 1, source[n]);
            }
            source = source[chunk..];
            physical += (uint)chunk;
        }
    }

    /// <summary>Reads 1 to 4 bytes of a window; all ones where nothing is mapped.</summary>
    public uint ReadWindow(uint physical, int size)
    {
        foreach (WindowRange w in _windows)
        {
            if (physical - w.First < w.Size) return w.Window.Read(physical - w.First, size);
        }
        return uint.MaxValue >> (32 - 8 * size);
    }

    public void WriteWindow(uint physical, int size, uint value)
    {
        foreach (WindowRange w in _windows)
        {
            if (physical - w.First < w.Size)
            {
                w.Window.Write(physical - w.First, size, value);
                return;
            }
        }
    }

    /// <summary>Whether nothing answers at the page.</summary>
    public bool IsUnclaimed(uint page) => ReadPages[page] == 0 && WritePages[page] == 0 && !IsWindow(page);

    /// <summary>Whether accesses to the page are visible to a device.</summary>
    public bool IsWindow(uint page)
    {
        foreach (WindowRange w in _windows)
        {
            if ((page << 12) - w.First < w.Size) return true;
        }
        return false;
    }

    public void Dispose()
    {
        _host.Free();
        NativeMemory.Free(ReadPages);
        NativeMemory.Free(WritePages);
        NativeMemory.Free(Bits);
        NativeMemory.Free(CodeChunks);
        GC.SuppressFinalize(this);
    }

    private void SetBacking(uint first, uint size, bool ram)
    {
        for (uint page = first >> 12; page <= (first + size - 1) >> 12; page++)
        {
            bool hasRam = ram && page < RamBytes >> 12;
            nint host = hasRam ? (nint)_ram + ((nint)page << 12) : 0;
            ReadPages[page] = host;
            WritePages[page] = host;
        }
        Watcher?.MappingChanged();
    }
}
