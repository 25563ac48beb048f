; How much RAM there is, and the ways to say so: CMOS bytes as QEMU fills them,
; INT 12h, INT 15h 88h, E801h, E881h, E820h (ACPI 1.0 section 14).

; AL = CMOS byte AL. NMI stays enabled (bit 7 clear).
cmos_read:
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        ret

; CMOS byte AL = AH.
cmos_write:
        out     CMOS_INDEX, al
        xchg    al, ah
        out     CMOS_DATA, al
        xchg    al, ah
        ret

; AX = the CMOS word whose low byte has index AL.
cmos_word:
        push    bx
        mov     bl, al
        inc     al
        call    cmos_read
        mov     ah, al
        mov     al, bl
        call    cmos_read
        pop     bx
        ret

; POST: first byte above RAM into the EBDA (ES = EBDA).
memory_size:
        mov     al, 0x34                ; 64 KiB units above 16 MiB
        call    cmos_word
        movzx   eax, ax
        test    eax, eax
        jz      .small
        shl     eax, 16
        add     eax, 0x1000000
        jmp     .store
.small: mov     al, 0x30                ; KiB above 1 MiB
        call    cmos_word
        movzx   eax, ax
        shl     eax, 10
        add     eax, 0x100000
.store: mov     [es:E_TOP], eax
        ret

; DX:AX = KiB from 1 to 16 MiB, 64 KiB units above 16 MiB: what E801h returns. ES = EBDA.
memory_e801:
        mov     eax, [es:E_TOP]
        sub     eax, 0x100000
        cmp     eax, 0xF00000
        ja      .large
        shr     eax, 10
        xor     dx, dx
        ret
.large: sub     eax, 0xF00000
        shr     eax, 16
        mov     dx, ax
        mov     ax, 15*1024
        ret

; INT 15h, AX=E820h: one row per call. Row n at e820_rows; type 0 ends the table,
; length 0 says "up to the top of RAM".
int15_e820:
        cmp     dword [bp+F_DX], 0x534D4150     ; "SMAP"
        jne     int15_unsupported
        cmp     dword [bp+F_CX], 20
        jb      int15_unsupported
        mov     ebx, [bp+F_BX]
        cmp     ebx, E820_COUNT
        jae     int15_unsupported
        push    EBDA_SEG
        pop     es
        mov     eax, [es:E_TOP]
        mov     esi, ebx
        imul    si, si, 12
        mov     ecx, [cs:si+e820_rows+4]
        test    ecx, ecx
        jnz     .fixed
        mov     ecx, eax
        sub     ecx, 0x100000
.fixed: mov     es, [bp+F_ES]
        mov     di, [bp+F_DI]
        mov     eax, [cs:si+e820_rows]
        mov     [es:di], eax
        mov     [es:di+8], ecx
        mov     eax, [cs:si+e820_rows+8]
        mov     [es:di+16], eax
        xor     eax, eax
        mov     [es:di+4], eax
        mov     [es:di+12], eax
        inc     ebx
        cmp     ebx, E820_COUNT
        jb      .more
        xor     ebx, ebx
.more:  mov     [bp+F_BX], ebx
        mov     dword [bp+F_CX], 20
        mov     dword [bp+F_AX], 0x534D4150
        CARRY_CLEAR
        jmp     int15_leave

e820_rows:      ; base        length      type
        dd      0x00000000, 0x0009FC00, 1
        dd      EBDA_LINEAR,0x00000400, 2
        dd      0x000E0000, 0x00020000, 2
        dd      0x00100000, 0,          1
        dd      0xFFFE0000, 0x00020000, 2
E820_COUNT equ ($-e820_rows)/12

; INT 12h: KiB of base memory.
int12:
        push    ds
        push    BDA_SEG
        pop     ds
        mov     ax, [B_MEMKB]
        pop     ds
        iret
