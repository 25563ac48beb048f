; A disk that exercises the BIOS: boot sector plus test program. One line per fact on COM1 and on the
; debug ports ("ok NAME" or "FAIL NAME"), then "services: N failed", then soft-off through port 604h.
; Sectors 40-99 of the disk are scratch. Build: nasm -f bin -o services.img services.asm
        cpu     686
        bits    16
        org     0x7C00
SECTORS         equ 16                  ; of the program after the boot sector
PATTERN_LBA     equ 40
BUFFER          equ 0x4000              ; segment
COPY            equ 0x5000

boot:   cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7C00
        sti
        mov     [drive], dl
        mov     ax, 0x0200 + SECTORS
        mov     bx, 0x7E00
        mov     cx, 2
        mov     dh, 0
        int     0x13
        jc      .failed
        jmp     main
.failed:
        mov     ax, 0x0E21
        int     0x10
        hlt
        jmp     .failed
drive:  db      0
        times   510-($-$$) db 0
        dw      0xAA55

; CHECK condition, "name": the fact holds if the condition code is true.
%macro CHECK 2
        push    si
        j%+1    %%ok
        mov     si, %%text
        call    failed
        jmp     %%next
%%text: db      %2, 0
%%ok:   mov     si, %%text
        call    passed
%%next: pop     si
%endmacro
; EQUAL a, b, "name"
%macro EQUAL 3
        cmp     %1, %2
        CHECK   e, %3
%endmacro

main:
        ; ---- video
        mov     ax, 3
        int     0x10
        mov     ax, 0x0F00
        int     0x10
        EQUAL   ax, 0x5003, "INT 10h 0Fh: mode 3 has 80 columns"
        mov     ah, 2
        mov     bh, 0
        mov     dx, 0x0507
        int     0x10
        mov     ax, 0x0941
        mov     bx, 0x001E
        mov     cx, 3
        int     0x10
        mov     ax, 0x0800
        mov     bh, 0
        int     0x10
        EQUAL   ax, 0x1E41, "INT 10h 08h reads what 09h wrote"
        push    es
        push    0xB800
        pop     es
        cmp     word [es:(5*80+9)*2], 0x1E41
        pop     es
        CHECK   e, "INT 10h 09h repeats CX times in text memory"
        mov     ah, 3
        mov     bh, 0
        int     0x10
        EQUAL   dx, 0x0507, "INT 10h 03h returns the cursor 02h set"
        mov     ax, 0x0601
        mov     bh, 0x17
        mov     cx, 0x0400
        mov     dx, 0x064F
        int     0x10
        push    es
        push    0xB800
        pop     es
        mov     ax, [es:(4*80+7)*2]
        mov     bx, [es:(6*80+7)*2]
        mov     cx, [es:(3*80+7)*2]
        pop     es
        EQUAL   ax, 0x1E41, "INT 10h 06h moves the window up"
        EQUAL   bx, 0x1720, "INT 10h 06h fills the last line"
        EQUAL   cx, 0x0720, "INT 10h 06h leaves the line above alone"
        mov     ax, 0x0701
        mov     bh, 0x17
        mov     cx, 0x0400
        mov     dx, 0x064F
        int     0x10
        push    es
        push    0xB800
        pop     es
        mov     ax, [es:(5*80+7)*2]
        mov     bx, [es:(4*80+7)*2]
        pop     es
        EQUAL   ax, 0x1E41, "INT 10h 07h moves the window down"
        EQUAL   bx, 0x1720, "INT 10h 07h fills the first line"
        mov     ax, 0x1301
        mov     bx, 0x0007
        mov     cx, 5
        mov     dx, 0x184D              ; last line, three columns from the edge: wraps and scrolls
        mov     bp, string
        int     0x10
        mov     ah, 3
        mov     bh, 0
        int     0x10
        EQUAL   dx, 0x1802, "INT 10h 13h wraps and scrolls at the end of the screen"
        mov     ax, 0x1A00
        int     0x10
        EQUAL   bl, 8, "INT 10h 1Ah: VGA, colour"
        mov     ax, 0x4F00
        mov     di, 0x600
        int     0x10
        cmp     ax, 0x004F
        CHECK   ne, "INT 10h 4F00h: no VESA"
        mov     ax, 0x1130
        mov     bh, 6
        push    es
        push    bp
        int     0x10
        mov     al, [es:bp+'A'*16+14]
        mov     ah, [es:bp+'A'*16+2]
        pop     bp
        pop     es
        test    al, al
        CHECK   z, "INT 10h 1130h: the 8x16 font"
        mov     ax, 0x1112
        mov     bl, 0
        int     0x10
        cmp     byte [0x484], 49
        CHECK   e, "INT 10h 1112h: 50 lines"
        mov     ax, 0x1007
        mov     bl, 6
        int     0x10
        EQUAL   bh, 0x14, "INT 10h 1007h reads brown"
        mov     ax, 3
        int     0x10

        ; ---- memory
        int     0x12
        EQUAL   ax, 639, "INT 12h: 639 KiB"
        int     0x11
        and     ax, 0x0E31
        cmp     ax, 0x0220
        CHECK   ae, "INT 11h: 80x25, a serial port, no diskette"
        xor     ebx, ebx
        mov     di, map
        xor     cx, cx
.e820:  push    cx
        mov     eax, 0xE820
        mov     edx, 0x534D4150
        mov     ecx, 20
        int     0x15
        pop     cx
        jc      .e820_end
        cmp     eax, 0x534D4150
        jne     .e820_end
        inc     cx
        add     di, 20
        test    ebx, ebx
        jnz     .e820
.e820_end:
        EQUAL   cx, 5, "INT 15h E820h: five regions"
        mov     eax, [map+3*20]
        cmp     eax, 0x100000
        CHECK   e, "INT 15h E820h: RAM continues at 1 MiB"
        mov     ax, 0xE801
        int     0x15
        movzx   ebx, bx                 ; 64 KiB units above 16 MiB
        shl     ebx, 16
        movzx   eax, ax
        shl     eax, 10
        add     eax, ebx
        cmp     eax, [map+3*20+8]
        CHECK   e, "INT 15h E801h agrees with E820h"
        mov     ah, 0x88
        int     0x15
        cmp     ax, 15*1024
        CHECK   ae, "INT 15h 88h: at least 15 MiB"
        mov     ax, 0x2402
        int     0x15
        EQUAL   al, 1, "INT 15h 2402h: A20 is on"
        mov     ax, 0x2400
        int     0x15
        mov     ax, 0x2402
        int     0x15
        EQUAL   al, 0, "INT 15h 2400h turns A20 off"
        mov     ax, 0x2401
        int     0x15
        mov     ah, 0xC0
        int     0x15
        cmp     byte [es:bx+2], 0xFC
        push    0
        pop     es
        CHECK   e, "INT 15h C0h: an AT"
        mov     ah, 0x87                ; the boot sector to 2 MiB, and from there to COPY
        mov     cx, 256
        mov     si, gdt_up
        int     0x15
        CHECK   nc, "INT 15h 87h to 2 MiB"
        mov     ah, 0x87
        mov     cx, 256
        mov     si, gdt_down
        int     0x15
        CHECK   nc, "INT 15h 87h back"
        push    es
        push    COPY
        pop     es
        mov     si, 0x7C00
        xor     di, di
        mov     cx, 256
        repe cmpsw
        pop     es
        CHECK   e, "INT 15h 87h moved the same bytes"
        mov     bx, [0x46C]
        mov     ah, 0x86
        mov     cx, 3                   ; 0.2 s
        mov     dx, 0x0D40
        int     0x15
        CHECK   nc, "INT 15h 86h waits"
        mov     ax, [0x46C]
        sub     ax, bx
        dec     ax
        dec     ax
        cmp     ax, 3
        CHECK   be, "INT 15h 86h: 0.2 s are two to five ticks"
        mov     ax, 0x5300
        xor     bx, bx
        int     0x15
        EQUAL   ah, 0x86, "INT 15h: unknown functions say so"

        ; ---- disk
        mov     ah, 8
        mov     dl, [drive]
        xor     di, di
        int     0x13
        mov     [geometry], cx
        mov     [geometry+2], dx
        push    0
        pop     es
        CHECK   nc, "INT 13h 08h"
        cmp     byte [geometry+2], 1
        CHECK   ae, "INT 13h 08h counts a disk"
        mov     ah, 0x15
        mov     dl, [drive]
        int     0x13
        EQUAL   ah, 3, "INT 13h 15h: a fixed disk"
        mov     ah, 0x41
        mov     bx, 0x55AA
        mov     dl, [drive]
        int     0x13
        EQUAL   bx, 0xAA55, "INT 13h 41h: extensions"
        push    es                      ; pattern in 60 sectors, written by 43h, read by 42h and 02h
        push    BUFFER
        pop     es
        xor     di, di
        mov     cx, 60*256
        mov     ax, 0x1357
.fill:  stosw
        imul    ax, ax, 0x4E35
        add     ax, 0x3039
        loop    .fill
        pop     es
        mov     si, packet
        mov     ax, 0x4300
        mov     dl, [drive]
        int     0x13
        CHECK   nc, "INT 13h 43h writes 60 sectors"
        mov     word [packet+4], 8      ; an odd place, so that the buffer is not paragraph aligned
        mov     word [packet+6], COPY
        mov     ah, 0x42
        mov     dl, [drive]
        int     0x13
        CHECK   nc, "INT 13h 42h reads 60 sectors"
        EQUAL   word [packet+2], 60, "INT 13h 42h counts them"
        mov     di, 8
        call    compare
        CHECK   e, "INT 13h 42h reads what 43h wrote"
        mov     ax, PATTERN_LBA
        call    to_chs
        mov     ax, 0x0200 + 20
        push    es
        push    COPY+0x0800
        pop     es
        mov     bx, 0xFF80              ; runs over the end of the segment
        mov     dl, [drive]
        int     0x13
        pop     es
        CHECK   nc, "INT 13h 02h reads 20 sectors"
        EQUAL   al, 20, "INT 13h 02h counts them"
        push    ds
        push    es
        push    BUFFER
        pop     ds
        xor     si, si
        push    COPY+0x0800+0x0FF8
        pop     es
        xor     di, di
        mov     cx, 20*256
        repe cmpsw
        pop     es
        pop     ds
        CHECK   e, "INT 13h 02h agrees with 42h, through the end of a segment"
        mov     ax, PATTERN_LBA+3
        call    to_chs
        mov     ax, 0x0302
        push    es
        push    BUFFER
        pop     es
        xor     bx, bx
        mov     dl, [drive]
        int     0x13
        pop     es
        CHECK   nc, "INT 13h 03h writes"
        mov     ax, PATTERN_LBA+3
        call    to_chs
        mov     ax, 0x0402
        mov     dl, [drive]
        int     0x13
        CHECK   nc, "INT 13h 04h verifies"
        mov     ax, 0x0201
        mov     cx, 0x0000              ; sector 0 does not exist
        mov     dh, 0
        mov     dl, [drive]
        mov     bx, 0x600
        int     0x13
        CHECK   c, "INT 13h 02h refuses sector 0"
        EQUAL   ah, 4, "INT 13h 02h: sector not found"
        mov     ah, 1
        mov     dl, [drive]
        int     0x13
        EQUAL   ah, 4, "INT 13h 01h repeats the status"
        mov     dword [packet+8], 0x0FFFFFF0
        mov     ah, 0x42
        mov     si, packet
        mov     dl, [drive]
        int     0x13
        CHECK   c, "INT 13h 42h refuses what is beyond the disk"
        mov     word [map], 0x1A
        mov     si, map
        mov     ah, 0x48
        mov     dl, [drive]
        int     0x13
        CHECK   nc, "INT 13h 48h"
        EQUAL   word [map+24], 512, "INT 13h 48h: 512 bytes a sector"
        mov     ax, 0x0201
        mov     cx, 1
        mov     dx, 0x008F
        int     0x13
        EQUAL   ah, 1, "INT 13h refuses a disk that is not there"
        mov     ax, 0x0201
        mov     cx, 1
        mov     dx, 0x0000
        int     0x13
        CHECK   c, "INT 13h refuses a diskette"

        ; ---- keyboard
        mov     ah, 1
        int     0x16
        CHECK   z, "INT 16h 01h: the buffer is empty"
        mov     ah, 5
        mov     cx, 0x1E61
        int     0x16
        EQUAL   al, 0, "INT 16h 05h stores"
        mov     ah, 5
        mov     cx, 0x8500              ; F11
        int     0x16
        mov     ah, 5
        mov     cx, 0x48E0              ; grey Up
        int     0x16
        mov     ah, 0x11
        int     0x16
        CHECK   nz, "INT 16h 11h sees the key"
        mov     ah, 0
        int     0x16
        EQUAL   ax, 0x1E61, "INT 16h 00h returns it"
        mov     ah, 1
        int     0x16
        EQUAL   ax, 0x4800, "INT 16h 01h hides F11 and the grey prefix"
        mov     ah, 0x10
        int     0x16
        EQUAL   ax, 0x48E0, "INT 16h 10h shows the prefix"

        ; ---- clock
        mov     ah, 2
        int     0x1A
        CHECK   nc, "INT 1Ah 02h"
        cmp     ch, 0x24
        CHECK   b, "INT 1Ah 02h: an hour"
        mov     ah, 4
        int     0x1A
        cmp     ch, 0x20
        CHECK   ae, "INT 1Ah 04h: this century"
        mov     bx, [0x46C]
        mov     cx, 100
.tick:  push    cx
        hlt                             ; so that the processor's speed does not matter
        mov     ah, 0
        int     0x1A
        pop     cx
        cmp     dx, bx
        loope   .tick
        CHECK   ne, "INT 1Ah 00h: ticks advance"
        mov     ah, 3                   ; the time as it is, written back
        push    ax
        mov     ah, 2
        int     0x1A
        pop     ax
        int     0x1A
        CHECK   nc, "INT 1Ah 03h"

        ; ---- PCI
        mov     ax, 0xB101
        int     0x1A
        cmp     edx, 0x20494350
        CHECK   e, "INT 1Ah B101h: PCI BIOS"
        mov     ax, 0xB102
        mov     cx, 0x7000
        mov     dx, 0x8086
        xor     si, si
        int     0x1A
        CHECK   nc, "INT 1Ah B102h finds the PIIX3"
        EQUAL   bx, 1 << 3, "INT 1Ah B102h: device 1"
        mov     ax, 0xB108
        mov     di, 0x60
        int     0x1A
        EQUAL   cl, 10, "INT 1Ah B108h: PIRQ A is at 10"
        mov     ax, 0xB109
        mov     di, 2
        int     0x1A
        EQUAL   cx, 0x7000, "INT 1Ah B109h"
        mov     ax, 0xB10A
        mov     di, 2
        int     0x1A
        EQUAL   ah, 0x87, "INT 1Ah B10Ah refuses an odd register"
        mov     ax, 0xB103
        mov     ecx, 0x010180
        xor     si, si
        int     0x1A
        CHECK   nc, "INT 1Ah B103h finds the IDE function"
        EQUAL   bx, (1 << 3) | 1, "INT 1Ah B103h: function 1"
        mov     ax, 0xB10A
        mov     di, 0x20
        int     0x1A
        and     ecx, 0xFFFF0001
        cmp     ecx, 1
        CHECK   e, "INT 1Ah B10Ah: its BAR is at an I/O port"
        mov     ax, 0xB102
        mov     cx, 0x1234
        mov     dx, 0x5678
        xor     si, si
        int     0x1A
        EQUAL   ah, 0x86, "INT 1Ah B102h: not found"

        mov     si, text_total
        call    put
        mov     al, [failures]
        add     al, '0'
        call    put_char
        mov     si, text_failed
        call    put
        mov     dx, 0x604               ; SLP_TYP 0, SLP_EN
        mov     ax, 0x2000
        out     dx, ax
.stop:  hlt
        jmp     .stop

; Sector AX as CH, CL, DH by the geometry of 08h.
to_chs: movzx   bx, byte [geometry]
        and     bx, 0x3F
        xor     dx, dx
        div     bx
        mov     cl, dl
        inc     cl
        movzx   bx, byte [geometry+3]
        inc     bx
        xor     dx, dx
        div     bx
        mov     dh, dl
        mov     ch, al
        ret

; 60 sectors at BUFFER against COPY:DI.
compare:
        push    ds
        push    es
        push    BUFFER
        pop     ds
        push    COPY
        pop     es
        xor     si, si
        mov     cx, 60*256
        repe cmpsw
        pop     es
        pop     ds
        ret

passed: push    si
        mov     si, text_ok
        jmp     report
failed: inc     byte [failures]
        push    si
        mov     si, text_fail
report: call    put
        pop     si
        call    put
        mov     si, text_end
put:    pushad
.next:  mov     al, [si]
        inc     si
        test    al, al
        jz      .done
        call    put_char
        jmp     .next
.done:  popad
        ret
put_char:
        pushad
        out     0xE9, al
        mov     dx, 0x402
        out     dx, al
        mov     ah, 1
        xor     dx, dx
        int     0x14
        popad
        ret

text_ok:        db "ok ", 0
text_fail:      db "FAIL ", 0
text_end:       db 13, 10, 0
text_total:     db "services: ", 0
text_failed:    db " failed", 13, 10, 0
string:         db "wraps"
failures:       db 0
geometry:       dw 0, 0
        align   16
packet: db      16, 0
        dw      60, 0, BUFFER
        dq      PATTERN_LBA
        align   8
gdt_up: times   16 db 0
        dw      0xFFFF, 0x7C00          ; source 7C00h
        dw      0x9300, 0
        dw      0xFFFF, 0x0000          ; destination 200000h
        dw      0x9320, 0
        times   16 db 0
gdt_down:
        times   16 db 0
        dw      0xFFFF, 0x0000
        dw      0x9320, 0
        dw      0xFFFF, 0x0000          ; COPY:0
        dw      0x9305, 0
        times   16 db 0
map:    times   20*8 db 0

        times   (SECTORS+1)*512-($-$$) db 0     ; negative: more SECTORS are needed
        times   1024*512-($-$$) db 0            ; half a megabyte of disk
