; A processor with a local APIC starts with it closed: the 8259A's line is let through (virtual wire,
; Intel SDM volume 3, APIC chapter; MP specification 1.4, 3.6.2.2).

LAPIC           equ 0xFEE00000

; POST. Everything kept.
apic_init:
        pushad
        push    ds
        pushfd                          ; CPUID is there if bit 21 of the flags can be changed
        pop     eax
        mov     ecx, eax
        xor     eax, 1 << 21
        push    eax
        popfd
        pushfd
        pop     eax
        xor     eax, ecx
        test    eax, 1 << 21
        jz      .none
        mov     eax, 1
        cpu     586
        cpuid
        cpu     486
        test    edx, 1 << 9
        jz      .none
        lgdt    [cs:.pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     .flush
.flush: mov     bx, 0x08                ; flat, for addresses above 1 MiB; CS stays as it is
        mov     ds, bx
        mov     edi, LAPIC
        or      dword [edi+0xF0], 0x100         ; spurious vector register: software enable
        mov     dword [edi+0x350], 0x00000700   ; LINT0: ExtINT
        mov     dword [edi+0x360], 0x00000400   ; LINT1: NMI
        mov     bx, 0x10                ; 64 KiB again
        mov     ds, bx
        and     al, 0xFE
        mov     cr0, eax
        jmp     .real
.real:
.none:  pop     ds
        popad
        ret
        align   8
.table: dq      0
        dq      0x00CF93000000FFFF
        dq      0x000093000000FFFF
.pointer:
        dw      23
        dd      0xF0000 + .table
