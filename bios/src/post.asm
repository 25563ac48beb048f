; Power-on self test: from the reset vector to INT 19h.

post:
        cli
        cld
        mov     al, 0x0F                ; shutdown byte: programs of the AT's time left protected mode by reset
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        mov     bl, al
        mov     al, 0x0F
        out     CMOS_INDEX, al
        mov     al, 0
        out     CMOS_DATA, al
        xor     ax, ax
        mov     ds, ax
        cmp     bl, 0x05
        je      .resume_eoi
        cmp     bl, 0x0A
        je      .resume
        cmp     bl, 0x09
        je      .return
        jmp     post_start
.resume_eoi:
        mov     al, 0x20
        out     PIC2, al
        out     PIC1, al
.resume:
        jmp     far [0x467]
.return:
        lss     sp, [0x467]
        pop     ds
        pop     es
        popa
        iret

post_start:
        mov     ss, ax
        mov     sp, 0x7000
        in      al, PORT92              ; A20 on
        and     al, 0xFE
        or      al, 2
        out     PORT92, al
        mov     dx, [0x472]             ; warm start flag survives
        xor     ax, ax
        mov     es, ax
        mov     di, 0x400
        mov     cx, 128
        rep stosw
        mov     [0x472], dx

        call    vectors_init
        push    BDA_SEG
        pop     ds
        push    EBDA_SEG
        pop     es
        mov     word [B_EBDA], EBDA_SEG
        mov     word [B_MEMKB], EBDA_LINEAR/1024
        mov     word [B_EQUIP], 0x0022  ; coprocessor, 80x25 colour
        xor     di, di
        xor     ax, ax
        mov     cx, 512
        rep stosw
        mov     byte [es:E_SIZE], 1

        call    apic_init
        call    pic_init
        call    memory_size
        call    pci_init
        call    timer_init
        call    video_init
        mov     si, post.banner
        call    print
        mov     eax, [es:E_TOP]
        shr     eax, 20
        call    print_dec
        mov     si, post.mib
        call    print
        call    keyboard_init
        call    serial_init
        push    ds
        push    es
        pop     ds
        push    es
        call    ide_init
        pop     es
        pop     ds
        call    disks_show
        call    tables_init
        mov     byte [B_LPTTIMEOUT], 20
        mov     al, 0xF8                ; timer, keyboard, cascade; the rest stays masked
        out     PIC1+1, al
        sti
        call    roms_init
        int     0x19
        jmp     post

post.banner: db     10, "Emu86 BIOS", 10, 0
post.mib:    db     " MiB", 10, 0

; Both 8259A: edge, vectors 08h and 70h, cascade on 2; all masked but the cascade.
pic_init:
        mov     al, 0x11
        out     PIC1, al
        out     PIC2, al
        mov     al, 0x08
        out     PIC1+1, al
        mov     al, 0x70
        out     PIC2+1, al
        mov     al, 0x04
        out     PIC1+1, al
        mov     al, 0x02
        out     PIC2+1, al
        mov     al, 0x01
        out     PIC1+1, al
        out     PIC2+1, al
        mov     al, 0xFB
        out     PIC1+1, al
        mov     al, 0xFF
        out     PIC2+1, al
        ret

; The interrupt vector table. ES = 0.
vectors_init:
        xor     di, di
        mov     cx, 256
.fill:  mov     ax, unused
        stosw
        mov     ax, BIOS_SEG
        stosw
        loop    .fill
        mov     si, .table
.next:  movzx   di, byte [cs:si]
        cmp     di, 0xFF
        je      .tail
        shl     di, 2
        mov     ax, [cs:si+1]
        mov     [es:di], ax
        add     si, 3
        jmp     .next
.tail:  xor     eax, eax                ; user vectors 60h-67h are empty, and so are the parameter pointers
        mov     di, 0x60*4
        mov     cx, 8
        rep stosd
        mov     [es:0x41*4], eax
        mov     [es:0x46*4], eax
        mov     word [es:0x1E*4], diskette_parameters
        ret
%macro VECTOR 2
        db      %1
        dw      %2
%endmacro
.table: VECTOR  0x08, int08
        VECTOR  0x09, int09
        VECTOR  0x0A, irq_low
        VECTOR  0x0B, irq_low
        VECTOR  0x0C, irq_low
        VECTOR  0x0D, irq_low
        VECTOR  0x0E, irq_low
        VECTOR  0x0F, irq_low
        VECTOR  0x11, int11
        VECTOR  0x12, int12
        VECTOR  0x13, int13
        VECTOR  0x14, int14
        VECTOR  0x15, int15
        VECTOR  0x16, int16
        VECTOR  0x17, int17
        VECTOR  0x18, int18
        VECTOR  0x19, int19
        VECTOR  0x1A, int1a
        VECTOR  0x1C, int1c
        VECTOR  0x70, int70
        VECTOR  0x71, irq_redirect
        VECTOR  0x72, irq_high
        VECTOR  0x73, irq_high
        VECTOR  0x74, irq_high
        VECTOR  0x75, irq_coprocessor
        VECTOR  0x76, irq_high
        VECTOR  0x77, irq_high
        db      0xFF

; INT 1Eh: boot sectors copy these eleven bytes even where no drive is (IBM PC/AT reference, diskette BIOS).
diskette_parameters:
        db      0xDF, 0x02, 0x25, 2, 18, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08

; The video ROM: one mapped at C000h, else ours in this image.
video_init:
        pushad
        push    ds
        push    es
        mov     ax, 0xC000
        call    rom_run
        jnc     .done
        mov     ax, VGA_ROM_SEG
        call    rom_run
.done:  pop     es
        pop     ds
        popad
        ret

; Option ROMs, C8000h-DFFFFh in steps of 2 KiB.
roms_init:
        mov     ax, 0xC800
.next:  call    rom_run
        jc      .none
        movzx   dx, dl                  ; behind this one: DL * 512 bytes, rounded up to 2 KiB
        shl     dx, 5
        add     dx, 0x7F
        and     dx, 0xFF80
        jnz     .step
.none:  mov     dx, 0x80
.step:  add     ax, dx
        cmp     ax, 0xE000
        jb      .next
        ret

; Calls the ROM at segment AX if signature and checksum are right; DL = its length in 512 bytes.
; CF set: no ROM. Everything else kept.
rom_run:
        pushad
        push    ds
        push    es
        mov     ds, ax
        cmp     word [0], 0xAA55
        jne     .none
        movzx   cx, byte [2]
        test    cx, cx
        jz      .none
        shl     cx, 9                   ; 128 of them are 64 KiB: CX = 0 counts as that
        xor     bl, bl
        xor     si, si
.sum:   lodsb
        add     bl, al
        loop    .sum
        test    bl, bl
        jnz     .none
        push    cs
        push    .back
        push    ds
        push    3
        retf
.back:  pop     es
        pop     ds
        popad
        push    ds
        mov     ds, ax
        mov     dl, [2]
        pop     ds
        clc
        ret
.none:  pop     es
        pop     ds
        popad
        stc
        ret

; A line for every disk. ES = EBDA, DS = BDA.
disks_show:
        xor     bx, bx
.next:  cmp     bl, [B_DISKCOUNT]
        jae     .done
        mov     si, .disk
        call    print
        movzx   eax, bl
        call    print_dec
        mov     si, .colon
        call    print
        mov     di, bx
        shl     di, 5
        mov     eax, [es:di+E_DRIVES+DRV_TOTAL]
        mov     edx, [es:di+E_DRIVES+DRV_TOTAL+4]
        shrd    eax, edx, 11
        call    print_dec
        mov     si, post.mib
        call    print
        inc     bx
        jmp     .next
.done:  ret
.disk:  db      "Disk ", 0
.colon: db      ": ", 0
