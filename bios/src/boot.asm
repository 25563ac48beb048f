; INT 19h: the boot order is in CMOS as QEMU writes it: 3Dh low nibble, 3Dh high nibble, 38h high nibble;
; 1 floppy, 2 disk, 3 CD-ROM, 4 network. INT 18h: nothing boots.

int19:
        xor     ax, ax
        mov     ss, ax
        mov     sp, 0x7C00
        sti
        mov     al, 0x3D
        call    cmos_read
        movzx   bx, al
        mov     al, 0x38
        call    cmos_read
        mov     bh, al
        shr     bh, 4                   ; BX = three nibbles, first in the lowest
        test    bx, bx
        jnz     .next
        mov     bx, 2                   ; nobody chose: the disk
.next:  test    bx, bx
        jz      .none
        mov     al, bl
        and     al, 15
        shr     bx, 4
        cmp     al, 2
        je      .disk
        cmp     al, 3
        jne     .next                   ; no floppy and no network boot here
        push    bx
        call    boot_cd
        pop     bx
        jmp     .next
.disk:  push    bx
        call    boot_disk
        pop     bx
        jmp     .next
.none:  int     0x18
        jmp     .none

; Loads and starts sector 0 of the first disk; returns when there is nothing to start.
boot_disk:
        push    BDA_SEG
        pop     ds
        cmp     byte [B_DISKCOUNT], 0
        je      .ret
        mov     si, .trying
        call    print
        xor     ax, ax
        mov     es, ax
        mov     bx, 0x7C00
        mov     ax, 0x0201
        mov     cx, 1
        mov     dx, 0x80
        int     0x13
        mov     si, .unreadable
        jc      .say
        mov     si, .unsigned
        cmp     word [es:0x7DFE], 0xAA55
        jne     .say
        xor     ax, ax                  ; what boot sectors find in registers: zeros, and the drive in DL
        mov     ds, ax
        mov     es, ax
        mov     bx, ax
        mov     cx, ax
        mov     si, ax
        mov     di, ax
        mov     bp, ax
        mov     dx, 0x80
        jmp     0x0000:0x7C00
.say:   call    print_com1
        call    print
.ret:   ret
.trying:        db "Booting from disk 0.", 10, 0
.unreadable:    db "Disk 0 cannot be read.", 10, 0
.unsigned:      db "Disk 0 has no boot sector.", 10, 0

int18:
        sti
        mov     si, .text
        call    print_com1
        call    print
.halt:  hlt
        jmp     .halt
.text:  db      "No bootable device.", 10, 0
