; IDE disks by programmed I/O with polling (ATA/ATAPI-6). DS = EBDA in all of this file.

IDE_PATIENCE    equ 0x10000000          ; four seconds, see poll_step
ATA_BSY         equ 0x80
ATA_DRQ         equ 0x08

; POST: IDENTIFY on four places; records and number of disks.
ide_init:
        mov     si, E_DRIVES
        mov     di, ide_places
.place: mov     ax, [cs:di]
        test    ax, ax
        jz      .done
        mov     [si+DRV_IO], ax
        mov     ax, [cs:di+2]
        mov     [si+DRV_CTL], ax
        mov     al, [cs:di+4]
        mov     [si+DRV_SEL], al
        push    di
        call    ide_identify
        pop     di
        jc      .next
        add     si, DRV_SIZE
        push    es
        push    BDA_SEG
        pop     es
        inc     byte [es:B_DISKCOUNT]
        pop     es
.next:  add     di, 5
        jmp     .place
.done:  ret
ide_places:     ; command block, control block, select
        dw      0x1F0, 0x3F6
        db      0xA0
        dw      0x1F0, 0x3F6
        db      0xB0
        dw      0x170, 0x376
        db      0xA0
        dw      0x170, 0x376
        db      0xB0
        dw      0

; The place of record SI: fills the record. CF set: no ATA disk there; a CD-ROM goes to E_CD.
ide_identify:
        mov     dx, [si+DRV_CTL]
        mov     al, 0x0A                ; no interrupts: this BIOS polls
        out     dx, al
        mov     dx, [si+DRV_IO]
        add     dx, 6
        mov     al, [si+DRV_SEL]
        out     dx, al
        call    ide_settle
        cmp     al, 0xFF                ; nothing drives the bus
        je      .none
        sub     dx, 4                   ; a device keeps what is written to its registers
        mov     al, 0x55
        out     dx, al
        inc     dx
        mov     al, 0xAA
        out     dx, al
        in      al, dx
        cmp     al, 0xAA
        jne     .none
        dec     dx
        in      al, dx
        cmp     al, 0x55
        jne     .none
        add     dx, 5
        mov     al, 0xEC
        out     dx, al
        call    ide_settle
        test    al, al
        jz      .none
        call    ide_ready
        jc      .none
        test    al, ATA_DRQ
        jz      .atapi                  ; aborted
        mov     dx, [si+DRV_IO]
        push    es
        push    ds
        pop     es
        mov     di, E_IDBUF
        mov     cx, 256
        cld
        rep insw
        pop     es
        test    byte [E_IDBUF+49*2+1], 2        ; LBA; disks older than that are not served
        jz      .none
        mov     byte [si+DRV_TYPE], 1
        mov     ax, [E_IDBUF+1*2]
        mov     [si+DRV_PCYL], ax
        mov     ax, [E_IDBUF+3*2]
        mov     [si+DRV_PHEADS], ax
        mov     ax, [E_IDBUF+6*2]
        mov     [si+DRV_PSPT], ax
        xor     edx, edx
        mov     eax, [E_IDBUF+60*2]
        mov     byte [si+DRV_LBA48], 0
        mov     bx, [E_IDBUF+83*2]
        and     bx, 0xC400                      ; word valid, 48-bit addresses
        cmp     bx, 0x4400
        jne     .lba28
        mov     byte [si+DRV_LBA48], 1
        mov     eax, [E_IDBUF+100*2]
        mov     edx, [E_IDBUF+102*2]
.lba28: mov     [si+DRV_TOTAL], eax
        mov     [si+DRV_TOTAL+4], edx
        call    ide_geometry
        clc
        ret
.atapi: cmp     byte [E_CD+DRV_TYPE], 0 ; the first CD-ROM has a record of its own
        jne     .none
        mov     dx, [si+DRV_IO]
        add     dx, 4
        in      al, dx
        cmp     al, 0x14
        jne     .none
        inc     dx
        in      al, dx
        cmp     al, 0xEB
        jne     .none
        mov     byte [E_CD+DRV_TYPE], 2
        mov     ax, [si+DRV_IO]
        mov     [E_CD+DRV_IO], ax
        mov     ax, [si+DRV_CTL]
        mov     [E_CD+DRV_CTL], ax
        mov     al, [si+DRV_SEL]
        mov     [E_CD+DRV_SEL], al
.none:  stc
        ret

; The geometry INT 13h shows: the disk's own while it fits, LBA-assisted above 1024 cylinders.
ide_geometry:
        mov     ax, [si+DRV_PCYL]
        mov     bx, [si+DRV_PHEADS]
        mov     cx, [si+DRV_PSPT]
        test    bx, bx                  ; a disk that gives none is assisted
        jz      .assist
        test    cx, cx
        jz      .assist
        cmp     ax, 1024
        jbe     .store
.assist:
        mov     cx, 63
        mov     eax, 0xFFFFFFFF
        cmp     dword [si+DRV_TOTAL+4], 0
        jne     .sectors
        mov     eax, [si+DRV_TOTAL]
.sectors:
        mov     bx, 16
.grow:  push    eax
        movzx   edi, bx
        imul    edi, edi, 63
        xor     edx, edx
        div     edi                     ; EAX = cylinders with this many heads
        mov     edi, eax
        pop     eax
        cmp     edi, 1024
        jbe     .fits
        cmp     bx, 255
        je      .cap
        add     bx, bx
        cmp     bx, 256
        jb      .grow
        mov     bx, 255
        jmp     .grow
.cap:   mov     edi, 1024
.fits:  mov     ax, di
.store: mov     [si+DRV_CYL], ax
        mov     [si+DRV_HEADS], bx
        mov     [si+DRV_SPT], cx
        ret

; 400 ns after a select or command: four reads of the alternate status. AL = status.
ide_settle:
        push    dx
        mov     dx, [si+DRV_CTL]
        in      al, dx
        in      al, dx
        in      al, dx
        in      al, dx
        pop     dx
        ret

; Waits until BSY falls. AL = status; CF set: it did not.
ide_ready:
        push    ecx
        push    dx
        mov     dx, [si+DRV_IO]
        add     dx, 7
        mov     ecx, IDE_PATIENCE
.poll:  in      al, dx
        test    al, ATA_BSY
        jz      .ok
        call    poll_step
        jnc     .poll
        jmp     .out
.ok:    clc
.out:   pop     dx
        pop     ecx
        ret

; Runs the request R_* on the disk of record SI. CF set: AH = INT 13h status. R_DONE counts.
disk_transfer:
        mov     word [R_DONE], 0
        mov     eax, [R_LBA]            ; the end of the request must be on the disk
        mov     edx, [R_LBA+4]
        movzx   ecx, word [R_COUNT]
        add     eax, ecx
        adc     edx, 0
        jc      .beyond
        cmp     edx, [si+DRV_TOTAL+4]
        ja      .beyond
        jb      .chunk
        cmp     eax, [si+DRV_TOTAL]
        ja      .beyond
.chunk: mov     cx, [R_COUNT]
        test    cx, cx
        jz      .good
        cmp     cx, 128
        jbe     .some
        mov     cx, 128
.some:  call    .command
        jc      .dead
        cmp     byte [R_OP], 2
        je      .verify
.sector:
        call    ide_settle
        call    ide_ready
        jc      .dead
        test    al, 0x21                ; error, device fault
        jnz     .error
        test    al, ATA_DRQ
        jz      .dead
        push    cx
        mov     dx, [si+DRV_IO]
        mov     ax, [R_OFF]             ; normalised, so that the offset never wraps
        mov     di, ax
        and     di, 15
        shr     ax, 4
        add     ax, [R_SEG]
        mov     [R_SEG], ax
        mov     es, ax
        mov     cx, 256
        cmp     byte [R_OP], 1
        je      .out
        rep insw
        jmp     .moved
.out:   push    si
        mov     si, di
        es rep outsw
        mov     di, si
        pop     si
.moved: mov     [R_OFF], di
        pop     cx
        inc     word [R_DONE]
        dec     word [R_COUNT]
        add     dword [R_LBA], 1
        adc     dword [R_LBA+4], 0
        loop    .sector
        call    ide_settle
        call    ide_ready               ; the status after the last sector
        jc      .dead
        test    al, 0x21
        jnz     .error
        jmp     .chunk
.verify:
        call    ide_settle
        call    ide_ready
        jc      .dead
        test    al, 0x21
        jnz     .error
        add     [R_DONE], cx
        sub     [R_COUNT], cx
        movzx   ecx, cx
        add     [R_LBA], ecx
        adc     dword [R_LBA+4], 0
        jmp     .chunk
.good:  mov     ah, 0
        clc
        ret
.beyond:
        mov     ah, 0x04
        stc
        ret
.dead:  mov     ah, 0x80
        stc
        ret
.error: mov     ah, 0x20
        mov     dx, [si+DRV_IO]
        inc     dx
        in      al, dx
        test    al, 0x40
        jz      .not_data
        mov     ah, 0x10                ; uncorrectable
.not_data:
        test    al, 0x10
        jz      .fail
        mov     ah, 0x04                ; sector not found
.fail:  stc
        ret

; Address, count CX and command of R_OP to the device. CF set: it stays busy.
.command:
        mov     dx, [si+DRV_CTL]
        mov     al, 0x0A
        out     dx, al
        call    ide_ready
        jc      .command_ret
        mov     dx, [si+DRV_IO]
        add     dx, 6
        mov     al, [si+DRV_SEL]
        or      al, 0x40
        out     dx, al
        call    ide_settle
        call    ide_ready
        jc      .command_ret
        movzx   bx, byte [R_OP]
        mov     eax, [R_LBA]
        movzx   edi, cx
        add     edi, eax
        shr     edi, 28
        jnz     .ext
        cmp     dword [R_LBA+4], 0
        jne     .ext
        sub     dx, 4
        mov     al, cl
        out     dx, al
        mov     eax, [R_LBA]
        call    .low
        inc     dx                      ; device: LBA 27-24
        mov     al, [R_LBA+3]
        or      al, [si+DRV_SEL]
        or      al, 0x40
        out     dx, al
        inc     dx
        mov     al, [cs:bx+.op28]
        out     dx, al
        clc
.command_ret:
        ret
.ext:   sub     dx, 4                   ; high bytes first, then low bytes, into the same registers
        mov     al, 0
        out     dx, al
        mov     eax, [R_LBA+3]
        call    .low
        sub     dx, 3
        mov     al, cl
        out     dx, al
        mov     eax, [R_LBA]
        call    .low
        inc     dx
        mov     al, [si+DRV_SEL]
        or      al, 0x40
        out     dx, al
        inc     dx
        mov     al, [cs:bx+.op48]
        out     dx, al
        clc
        ret
.low:   push    cx                      ; three bytes of EAX to the registers after DX
        mov     cx, 3
.byte:  inc     dx
        out     dx, al
        shr     eax, 8
        loop    .byte
        pop     cx
        ret
.op28:  db      0x20, 0x30, 0x40
.op48:  db      0x24, 0x34, 0x42
