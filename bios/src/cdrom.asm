; The first ATAPI CD-ROM: reading (SFF-8020i, MMC READ(10)), El Torito 1.0 boot without emulation,
; and INT 13h for it as drive E0h.

CD_DRIVE        equ 0xE0
CD_TRIES        equ 8                   ; a changed medium fails the first commands

; A packet at E_PACKET, data in to R_SEG:R_OFF; DS = EBDA. CF set: AH = INT 13h status.
cd_packet:
        mov     si, E_CD
        call    ide_ready
        jc      .dead
        mov     dx, [si+DRV_CTL]
        mov     al, 0x0A
        out     dx, al
        mov     dx, [si+DRV_IO]
        add     dx, 6
        mov     al, [si+DRV_SEL]
        out     dx, al
        call    ide_settle
        call    ide_ready
        jc      .dead
        sub     dx, 5
        mov     al, 0                   ; features: no DMA
        out     dx, al
        add     dx, 3
        mov     al, 0x00                ; 2048 bytes at a time
        out     dx, al
        inc     dx
        mov     al, 0x08
        out     dx, al
        add     dx, 2
        mov     al, 0xA0
        out     dx, al
        call    ide_settle
        call    ide_ready
        jc      .dead
        test    al, ATA_DRQ
        jz      .error
        sub     dx, 7
        push    si
        mov     si, E_PACKET
        mov     cx, 6
        rep outsw
        pop     si
.block: call    ide_settle
        call    ide_ready
        jc      .dead
        test    al, 1
        jnz     .error
        test    al, ATA_DRQ
        jz      .done
        mov     dx, [si+DRV_IO]
        add     dx, 5
        in      al, dx
        mov     ah, al
        dec     dx
        in      al, dx
        shr     ax, 1
        mov     cx, ax                  ; words of this block
        sub     dx, 4
        mov     ax, [R_OFF]
        mov     di, ax
        and     di, 15
        shr     ax, 4
        add     ax, [R_SEG]
        mov     [R_SEG], ax
        mov     es, ax
        rep insw
        mov     [R_OFF], di
        jmp     .block
.done:  mov     ah, 0
        clc
        ret
.dead:  mov     ah, 0x80
        stc
        ret
.error: mov     ah, 0x20
        stc
        ret

; R_COUNT sectors of 2048 bytes from R_LBA to R_SEG:R_OFF. DS = EBDA. CF set: AH = INT 13h status.
cd_read:
        call    cd_clear
        mov     byte [E_PACKET], 0x28
        mov     eax, [R_LBA]
        bswap   eax
        mov     [E_PACKET+2], eax
        mov     ax, [R_COUNT]
        mov     [E_PACKET+8], al
        mov     [E_PACKET+7], ah
        jmp     cd_packet

cd_clear:
        push    es
        push    ds
        pop     es
        mov     di, E_PACKET
        xor     ax, ax
        mov     cx, 6
        rep stosw
        pop     es
        ret

; One sector EAX to 0:8000h, as often as a new medium needs. DS = EBDA.
cd_sector:
        push    bp
        mov     bp, CD_TRIES
.again: push    eax
        mov     [R_LBA], eax
        mov     word [R_COUNT], 1
        mov     word [R_OFF], 0x8000
        mov     word [R_SEG], 0
        call    cd_read
        pop     eax
        jnc     .out
        dec     bp
        jnz     .again
        stc
.out:   pop     bp
        ret

; Starts the CD's boot image; returns when there is none.
boot_cd:
        push    EBDA_SEG
        pop     ds
        cmp     byte [E_CD+DRV_TYPE], 2
        jne     .ret
        mov     si, .trying
        call    print
        mov     eax, 17                 ; boot record volume descriptor
        call    cd_sector
        mov     si, .unreadable
        jc      .say
        xor     ax, ax
        mov     es, ax
        mov     si, .unbootable
        cmp     dword [es:0x8001], "CD00"
        jne     .say
        cmp     dword [es:0x8007], "EL T"
        jne     .say
        mov     eax, [es:0x8047]        ; the catalogue
        call    cd_sector
        mov     si, .unreadable
        jc      .say
        xor     ax, ax
        mov     es, ax
        mov     si, .unbootable
        cmp     byte [es:0x8000], 1
        jne     .say
        cmp     word [es:0x801E], 0xAA55
        jne     .say
        cmp     byte [es:0x8020], 0x88
        jne     .say
        test    byte [es:0x8021], 0x0F
        mov     si, .emulation
        jnz     .say
        mov     ax, [es:0x8022]
        test    ax, ax
        jnz     .segment
        mov     ax, 0x07C0
.segment:
        mov     [E_CDSEG], ax
        mov     [R_SEG], ax
        mov     word [R_OFF], 0
        mov     ax, [es:0x8026]
        mov     [E_CDCOUNT], ax
        add     ax, 3
        shr     ax, 2                   ; 512-byte sectors on a medium of 2048
        mov     [R_COUNT], ax
        mov     eax, [es:0x8028]
        mov     [E_CDLBA], eax
        mov     [R_LBA], eax
        call    cd_read
        mov     si, .unreadable
        jc      .say
        mov     bx, [E_CDSEG]
        xor     ax, ax
        cmp     bx, 0x07C0              ; the usual place is entered as disks enter it
        jne     .elsewhere
        xor     bx, bx
        mov     ax, 0x7C00
.elsewhere:
        push    bx
        push    ax
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     dx, CD_DRIVE
        retf
.say:   call    print
.ret:   ret
.trying:        db "Booting from CD-ROM.", 10, 0
.unreadable:    db "The CD-ROM cannot be read.", 10, 0
.unbootable:    db "The CD-ROM is not bootable.", 10, 0
.emulation:     db "The CD-ROM wants disk emulation, which is not there.", 10, 0

; INT 13h for drive E0h; AL = function, DS = EBDA, frame at BP.
int13_cd:
        cmp     al, 0x00
        je      int13.ok
        cmp     al, 0x0D
        je      int13.ok
        cmp     al, 0x10
        je      int13.ok
        cmp     al, 0x41
        je      int13.extensions
        cmp     al, 0x42
        je      .read
        cmp     al, 0x44
        je      int13.ok
        cmp     al, 0x47
        je      int13.ok
        cmp     al, 0x48
        je      .drive
        cmp     al, 0x4B
        je      .emulation
        jmp     int13.bad

.read:  mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        cmp     byte [es:di], 16
        jb      int13.bad
        mov     ax, [es:di+2]
        mov     [R_COUNT], ax
        mov     eax, [es:di+4]
        mov     [R_OFF], eax
        mov     eax, [es:di+8]
        mov     [R_LBA], eax
        cmp     dword [es:di+12], 0
        mov     ah, 0x04
        jne     int13.fail
        cmp     word [R_COUNT], 0
        je      int13.ok
        call    cd_read
        jnc     int13.done
        mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        mov     word [es:di+2], 0
        jmp     int13.fail

.drive: mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        cmp     word [es:di], 0x1A
        jb      int13.bad
        mov     word [es:di], 0x1A
        mov     word [es:di+2], 0x0004  ; removable; no geometry
        or      eax, -1
        mov     [es:di+4], eax
        mov     [es:di+8], eax
        mov     [es:di+12], eax
        mov     [es:di+16], eax
        mov     [es:di+20], eax
        mov     word [es:di+24], 2048
        jmp     int13.ok

.emulation:                             ; the specification packet; there is no emulation to end
        mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        mov     word [es:di], 0x0013    ; size; medium 0: no emulation
        mov     byte [es:di+2], CD_DRIVE
        mov     byte [es:di+3], 0
        mov     eax, [E_CDLBA]
        mov     [es:di+4], eax
        mov     dword [es:di+8], 0
        mov     ax, [E_CDSEG]
        mov     [es:di+12], ax
        mov     ax, [E_CDCOUNT]
        mov     [es:di+14], ax
        mov     word [es:di+16], 0
        mov     byte [es:di+18], 0
        jmp     int13.ok
