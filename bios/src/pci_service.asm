; PCI BIOS entry points (PCI BIOS 2.1) and the 32-bit service directory (BIOS32 proposal 0.4).
%include "pci_core.inc"

        PCI_CORE pci16

; INT 1Ah, AH = B1h, from int1a: registers as the caller left them.
int1a_pci:
        sti
        push    edi
        and     edi, 0xFFFF
        call    pci16_entry
        pop     edi
        push    bp
        mov     bp, sp
        jc      .failed
        and     byte [bp+6], 0xFE
        pop     bp
        iret
.failed:
        or      byte [bp+6], 1
        pop     bp
        iret

        align   16
bios32_header:
        db      "_32_"
        dd      0xF0000 + bios32_directory
        db      0                       ; revision
        db      1                       ; length, paragraphs
        db      (0 - BIOS32_SUM) & 0xFF
        times   5 db 0
BIOS32_ENTRY equ bios32_directory - bios_start
BIOS32_SUM   equ '_' + '3' + '2' + '_' + (BIOS32_ENTRY & 0xFF) + ((BIOS32_ENTRY >> 8) & 0xFF) + 0x0F + 1

        bits    32
; EAX = service name, BL = 0 -> AL, EBX base, ECX length, EDX entry. Called far.
bios32_directory:
        pushfd
        cmp     eax, 0x49435024         ; "$PCI"
        jne     .unknown
        test    bl, bl
        jnz     .bad
        mov     ebx, 0xF0000
        mov     ecx, 0x10000
        mov     edx, pci32_far - bios_start
        mov     al, 0
        popfd
        retf
.unknown:
        mov     al, 0x80
        popfd
        retf
.bad:   mov     al, 0x81
        popfd
        retf

; AH = B1h and the same registers as INT 1Ah. Called far; CF is the answer.
pci32_far:
        push    edi
        and     edi, 0xFFFF
        call    pci32_entry
        pop     edi
        retf

        PCI_CORE pci32
        bits    16
