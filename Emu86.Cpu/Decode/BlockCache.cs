// Decoded blocks by physical address, and the way from EIP to a block.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emu86.Cpu.Execute;
using Emu86.Cpu.Memory;

namespace Emu86.Cpu.Decode;

/// <summary>Finds or decodes the block at the current CS:EIP. A cache: never state.</summary>
public sealed unsafe class BlockCache
{
    private const int HashSize = 1 << 16;
    private const nuint ArenaBytes = 48u << 20;

    /// <summary>The most that one block can take of the arena.</summary>
    private const nuint BlockBytesMax = 8192;

    private readonly Ctx* _c;
    private readonly Mmu _mmu;
    private readonly PhysicalMemory _memory;
    private readonly BlockDecoder _decoder;
    private readonly Block** _hash;
    private readonly Block** _pages;
    private readonly HostMemory _arenaMemory = new(ArenaBytes);
    private readonly byte* _arena;
    private nuint _used;

    internal BlockCache(Ctx* c, Mmu mmu, PhysicalMemory memory, OpTable table, CpuModel model)
    {
        _c = c;
        _mmu = mmu;
        _memory = memory;
        _decoder = new BlockDecoder(table, model);
        _hash = (Block**)NativeMemory.AllocZeroed(HashSize, (nuint)sizeof(Block*));
        _pages = (Block**)NativeMemory.AllocZeroed(1 << 20, (nuint)sizeof(Block*));
        c->Jumps = (Jump*)NativeMemory.AllocZeroed(Jump.Entries, (nuint)sizeof(Jump));
        _arena = _arenaMemory.Start;
    }

    /// <summary>What pages map to has changed: everything is decoded anew from the next look-up on.</summary>
    public bool Stale { get; set; }

    /// <summary>The translator, where it is in use.</summary>
    internal Translate.TranslatedCode? Translated { get; set; }

    /// <summary>Blocks decoded so far (a figure for benchmarks).</summary>
    public ulong Decoded { get; private set; }

    /// <summary>The block at CS:EIP; null: a fault was raised. All of its bytes are within CS.Limit unless
    /// <see cref="FitsLimit"/> says otherwise.</summary>
    public Block* Find()
    {
        uint linear = _c->S.Cs.Base + _c->S.Eip;
        Jump* jump = Chain.JumpOf(_c, linear);
        if (jump->Linear == linear && jump->Mode == _c->Mode && jump->Epoch == _c->Epoch) return jump->Target;
        if (Stale || _c->Epochs >= Epochs.Last) Clear();
        if (_c->S.Eip > _c->S.Cs.Limit)
        {
            Ctx.Fault(_c, null, Vector.Gp, 0);
            return null;
        }
        Block* block = FindPhysical(linear, jump->Target);
        if (block == null || !FitsLimit(block)) return block;
        nint native = block->Native != 0 || Translated == null ? block->Native : Translated.LookupMiss;
        *jump = new Jump { Linear = linear, Mode = _c->Mode, Epoch = _c->Epoch, Target = block, Native = native };
        return block;
    }

    /// <summary>The block with this key that begins at <paramref name="eip"/> and lies within a page, if it has been decoded.</summary>
    internal Block* Peek(ulong key, uint eip)
    {
        for (Block* b = _hash[Bucket(key, eip)]; b != null; b = b->HashNext)
        {
            if (b->Key == key && b->Eip == eip && b->SecondPage == Block.NoPage) return b;
        }
        return null;
    }

    /// <summary>Whether the whole block lies within CS.Limit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool FitsLimit(Block* block) => (ulong)_c->S.Eip + block->Bytes - 1 <= _c->S.Cs.Limit;

    /// <summary>Forgets the blocks with bytes in a physical page. Their memory stays until no block runs.</summary>
    public void Invalidate(uint page)
    {
        for (Block* b = _pages[page]; b != null;)
        {
            bool inFirst = (uint)b->Key >> 12 == page;
            Block* next = inFirst ? b->PageNext : b->SecondPageNext;
            Unhash(b);
            if (b->SecondPage != Block.NoPage) UnlinkFromPage(b, inFirst ? b->SecondPage >> 12 : (uint)b->Key >> 12);
            b->Key = Block.Forgotten;
            b = next;
        }
        _pages[page] = null;
        _memory.Bits[page] &= ~PageBits.Code;
        _memory.CodeChunks[page] = 0;
        Epochs.New(_c);
    }

    /// <summary>Forgets everything. Not while a block runs.</summary>
    public void Clear()
    {
        for (int bucket = 0; bucket < HashSize; bucket++)
        {
            for (Block* b = _hash[bucket]; b != null; b = b->HashNext)
            {
                ForgetPage((uint)b->Key >> 12);
                if (b->SecondPage != Block.NoPage) ForgetPage(b->SecondPage >> 12);
            }
            _hash[bucket] = null;
        }
        _used = 0;
        new Span<Jump>(_c->Jumps, Jump.Entries).Clear();
        Translated?.Clear();
        Stale = false;
        Epochs.Restart(_c);
    }

    internal void Free()
    {
        NativeMemory.Free(_hash);
        NativeMemory.Free(_pages);
        NativeMemory.Free(_c->Jumps);
        _arenaMemory.Free();
    }

    private Block* FindPhysical(uint linear, Block* last)
    {
        if (!_mmu.TranslateFetch(null, linear, out uint physical)) return null;
        ulong key = ((ulong)_c->Mode << 32) | physical;
        // Another address space was active, or a page table written, but here nothing has changed: mostly so.
        if (last != null && last->Key == key && last->Eip == _c->S.Eip && last->SecondPage == Block.NoPage) return last;
        for (Block* b = _hash[Bucket(key, _c->S.Eip)]; b != null; b = b->HashNext)
        {
            if (b->Key != key || b->Eip != _c->S.Eip) continue;
            if (b->SecondPage == Block.NoPage) return b;
            // An instruction across two pages: the second may be mapped elsewhere by now.
            if (!FetchSecond(linear, out uint second)) return null;
            if (second == b->SecondPage) return b;
        }
        return Decode(key, linear, physical);
    }

    /// <summary>The page in which the instruction at <paramref name="linear"/> ends; the segment's limit comes before page faults.</summary>
    private bool FetchSecond(uint linear, out uint physical)
    {
        physical = 0;
        if ((ulong)_c->S.Eip + (4096 - (linear & 0xfff)) > _c->S.Cs.Limit) return Ctx.Fault(_c, null, Vector.Gp, 0);
        return _mmu.TranslateFetch(null, (linear & 0xffff_f000) + 4096, out physical);
    }

    private Block* Decode(ulong key, uint linear, uint physical)
    {
        if (_used + BlockBytesMax > ArenaBytes) Clear();
        nint first = _memory.ReadPages[physical >> 12];
        var block = (Block*)(_arena + _used);
        *block = new Block { Key = key, First = (Insn*)(block + 1), SecondPage = Block.NoPage, Eip = _c->S.Eip };
        bool complete = _decoder.Decode(block, (byte*)first, null, physical & 0xfff, _c->S.Eip, _c->Mode, false);
        if (!complete)
        {
            if (!FetchSecond(linear, out uint second)) return null;
            complete = _decoder.Decode(block, (byte*)first, (byte*)_memory.ReadPages[second >> 12], physical & 0xfff, _c->S.Eip, _c->Mode, true);
            Check.That(complete);
            block->SecondPage = second;
        }
        _used += (nuint)((byte*)(block->First + block->Count + 1) - (byte*)block + 63) & ~(nuint)63;
        Decoded++;
        Insert(block, physical);
        if (Translated != null) Translate.TranslatedCode.Watch(block);
        return block;
    }

    private void Insert(Block* block, uint physical)
    {
        Block** bucket = &_hash[Bucket(block->Key, block->Eip)];
        block->HashNext = *bucket;
        *bucket = block;
        uint page = physical >> 12;
        block->PageNext = _pages[page];
        _pages[page] = block;
        uint firstBytes = uint.Min(block->Bytes, 4096 - (physical & 0xfff));
        MarkCode(page, physical & 0xfff, firstBytes);
        if (block->SecondPage == Block.NoPage) return;
        uint secondPage = block->SecondPage >> 12;
        // Both halves in the same physical page: one list entry is enough.
        if (secondPage == page)
        {
            MarkCode(page, 0, block->Bytes - firstBytes);
            return;
        }
        block->SecondPageNext = _pages[secondPage];
        _pages[secondPage] = block;
        MarkCode(secondPage, 0, block->Bytes - firstBytes);
    }

    private void MarkCode(uint page, uint offset, uint size)
    {
        int first = (int)(offset >> 6), last = (int)((offset + size - 1) >> 6);
        _memory.CodeChunks[page] |= (ulong.MaxValue >> (63 - last)) & (ulong.MaxValue << first);
        if ((_memory.Bits[page] & PageBits.Code) != 0) return;
        _memory.Bits[page] |= PageBits.Code;
        _mmu.ForbidFastWrites(page);
    }

    private void ForgetPage(uint page)
    {
        _pages[page] = null;
        _memory.Bits[page] &= ~PageBits.Code;
        _memory.CodeChunks[page] = 0;
    }

    private void Unhash(Block* block)
    {
        Block** at = &_hash[Bucket(block->Key, block->Eip)];
        while (*at != block) at = &(*at)->HashNext;
        *at = block->HashNext;
    }

    private void UnlinkFromPage(Block* block, uint page)
    {
        for (Block** at = &_pages[page]; *at != null;)
        {
            Block* other = *at;
            Block** next = (uint)other->Key >> 12 == page ? &other->PageNext : &other->SecondPageNext;
            if (other == block)
            {
                *at = *next;
                return;
            }
            at = next;
        }
    }

    // By EIP, too: each process has a library at another address (ASLR), and so many blocks at one place in memory.
    private static int Bucket(ulong key, uint eip) => (int)((uint)((key ^ ((ulong)eip << 32)) * 0x9e37_79b9_7f4a_7c15 >> 40) & (HashSize - 1));
}
