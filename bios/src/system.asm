; INT 15h, 11h, 17h and the handlers of vectors nothing else claims (IBM PS/2 and PC/AT BIOS interface).

int11:
        push    ds
        push    BDA_SEG
        pop     ds
        mov     ax, [B_EQUIP]
        pop     ds
        iret

; No printer: time-out.
int17:
        mov     ah, 1
        iret

int15:
        cmp     ah, 0x4F                ; the keyboard intercept: flags and AL go back as they came
        jne     .service
        push    bp
        mov     bp, sp
        or      byte [bp+6], 1
        pop     bp
        iret
.service:
        ENTER_SERVICE
        mov     ax, [bp+F_AX]
        cmp     ax, 0xE820
        je      int15_e820
        cmp     ax, 0xE801
        je      .e801
        cmp     ax, 0xE881
        je      .e881
        cmp     ah, 0x24
        je      .a20
        cmp     ah, 0x83
        je      .event
        cmp     ah, 0x86
        je      .wait
        cmp     ah, 0x87
        je      block_move
        cmp     ah, 0x88
        je      .extended
        cmp     ah, 0xC0
        je      .configuration
        cmp     ah, 0xC1
        je      .ebda
        cmp     ah, 0x90                ; device busy, interrupt complete: hooks of multitaskers
        je      .nothing
        cmp     ah, 0x91
        je      .nothing
int15_unsupported:
        CARRY_SET
        mov     byte [bp+F_AH], 0x86
int15_leave:
        LEAVE_SERVICE

int15.nothing:
        mov     byte [bp+F_AH], 0
        CARRY_CLEAR
        jmp     int15_leave

int15.e801:
        push    EBDA_SEG
        pop     es
        call    memory_e801
        mov     [bp+F_AX], ax
        mov     [bp+F_CX], ax
        mov     [bp+F_BX], dx
        mov     [bp+F_DX], dx
        CARRY_CLEAR
        jmp     int15_leave

int15.e881:
        push    EBDA_SEG
        pop     es
        call    memory_e801
        movzx   eax, ax
        movzx   edx, dx
        mov     [bp+F_AX], eax
        mov     [bp+F_CX], eax
        mov     [bp+F_BX], edx
        mov     [bp+F_DX], edx
        CARRY_CLEAR
        jmp     int15_leave

int15.extended:                         ; KiB above 1 MiB, at most 63 MiB: what callers of 88h expect
        push    EBDA_SEG
        pop     es
        mov     eax, [es:E_TOP]
        sub     eax, 0x100000
        shr     eax, 10
        cmp     eax, 63*1024
        jbe     .fits
        mov     ax, 63*1024
.fits:  mov     [bp+F_AX], ax
        CARRY_CLEAR
        jmp     int15_leave

int15.a20:
        cmp     al, 3
        ja      int15_unsupported
        je      .support
        cmp     al, 2
        je      .query
        mov     ah, al
        add     ah, ah                  ; 2400h off, 2401h on: bit 1 of port 92h
        in      al, PORT92
        and     al, 0xFC                ; bit 0 would reset
        or      al, ah
        out     PORT92, al
        jmp     .fine
.query: in      al, PORT92
        shr     al, 1
        and     al, 1
        mov     [bp+F_AL], al
        jmp     .fine
.support:
        mov     word [bp+F_BX], 2       ; port 92h
.fine:  mov     byte [bp+F_AH], 0
        CARRY_CLEAR
        jmp     int15_leave

int15.event:
        cmp     al, 1
        je      .cancel
        mov     es, [bp+F_ES]
        mov     di, [bp+F_BX]
        mov     cx, [bp+F_CX]
        mov     dx, [bp+F_DX]
        call    wait_start
        jc      int15_unsupported
        jmp     .started
.cancel:
        call    wait_stop
.started:
        CARRY_CLEAR
        jmp     int15_leave

int15.wait:
        mov     cx, [bp+F_CX]
        mov     dx, [bp+F_DX]
        push    BDA_SEG
        pop     es
        mov     di, B_WAITFLAG
        call    wait_start
        jc      .busy
.sleep: cli
        test    byte [B_WAITFLAG], 0x80
        jnz     .over
        sti
        hlt
        jmp     .sleep
.over:  mov     byte [B_WAITFLAG], 0
        sti
        CARRY_CLEAR
        jmp     int15_leave
.busy:  mov     byte [bp+F_AH], 0x83
        CARRY_SET
        jmp     int15_leave

int15.configuration:
        mov     word [bp+F_ES], BIOS_SEG
        mov     word [bp+F_BX], configuration_table
        mov     byte [bp+F_AH], 0
        CARRY_CLEAR
        jmp     int15_leave
configuration_table:
        dw      8
        db      0xFC, 0x00, 0x00        ; model, submodel, revision
        db      0x74                    ; second 8259, clock, keyboard intercept, EBDA
        db      0, 0, 0, 0

int15.ebda:
        mov     word [bp+F_ES], EBDA_SEG
        CARRY_CLEAR
        jmp     int15_leave

; INT 15h/87h: CX words between the descriptors at ES:SI + 10h and + 18h, in protected mode.
block_move:
        cli
        push    EBDA_SEG
        pop     ds
        in      al, PORT92
        mov     [E_SAVEA20], al
        or      al, 2
        and     al, 0xFE
        out     PORT92, al
        mov     si, [bp+F_SI]
        mov     es, [bp+F_ES]
        movzx   eax, word [bp+F_ES]     ; the caller's table, completed: 08h itself, 20h code, 28h stack
        shl     eax, 4
        movzx   ebx, si
        add     eax, ebx
        mov     word [es:si+0x08], 0x2F
        mov     [es:si+0x0A], eax
        mov     dword [es:si+0x20], 0x0000FFFF
        mov     dword [es:si+0x24], 0x00009B0F
        mov     word [es:si+0x28], 0xFFFF
        xor     eax, eax
        mov     ax, ss
        shl     eax, 4
        mov     [es:si+0x2A], eax
        mov     word [es:si+0x2D], 0x0093
        mov     byte [es:si+0x2F], 0
        lgdt    [es:si+0x08]
        mov     [E_SAVESP], sp
        mov     [E_SAVESP+2], ss
        movzx   ecx, word [bp+F_CX]
        xor     esi, esi
        xor     edi, edi
        cld
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     0x20:.protected
.protected:
        mov     ax, 0x10
        mov     ds, ax
        mov     ax, 0x18
        mov     es, ax
        mov     ax, 0x28
        mov     ss, ax
        a32 rep movsw
        mov     ds, ax                  ; limits back to 64 KiB
        mov     es, ax
        mov     eax, cr0
        and     al, 0xFE
        mov     cr0, eax
        jmp     BIOS_SEG:.real
.real:  push    EBDA_SEG
        pop     ds
        lss     sp, [E_SAVESP]
        mov     al, [E_SAVEA20]
        and     al, 0xFE
        out     PORT92, al
        mov     byte [bp+F_AH], 0
        CARRY_CLEAR
        and     byte [bp+F_FLAGS], 0xBF
        or      byte [bp+F_FLAGS], 0x40 ; ZF: all went well
        jmp     int15_leave

; Hardware interrupts nothing handles: acknowledged.
irq_low:
        push    ax
        mov     al, 0x20
        out     PIC1, al
        pop     ax
        iret
irq_high:
        push    ax
        mov     al, 0x20
        out     PIC2, al
        out     PIC1, al
        pop     ax
unused: iret

; IRQ 9 stands in for the IRQ 2 of the first PC.
irq_redirect:
        push    ax
        mov     al, 0x20
        out     PIC2, al
        pop     ax
        int     0x0A
        iret
; IRQ 13: the coprocessor's error, as the AT passes it to INT 02h.
irq_coprocessor:
        push    ax
        xor     al, al
        out     0xF0, al
        mov     al, 0x20
        out     PIC2, al
        out     PIC1, al
        pop     ax
        int     2
        iret
