; The start of segment F000: ACPI at fixed places, then $PIR and SMBIOS.
%include "acpi.asm"

; $PIR: PCI interrupt routing (PCI IRQ Routing Table 1.0). Links 60h-63h are the PIIX3's PIRQ registers.
PIR_SLOTS       equ 31
PIR_MASK        equ (1 << IRQ_EVEN) | (1 << IRQ_ODD)
        align   16, db 0
pir:    db      "$PIR"
        dw      0x0100
        dw      PIR_BYTES
        db      0, 1 << 3               ; router: bus 0, device 1
        dw      0                       ; no interrupt is PCI's alone
        dd      0x122E8086              ; compatible with the first PIIX
        dd      0
        times   11 db 0
        db      (0 - PIR_TOTAL) & 0xFF
%assign PIR_SUM 0
%assign SLOT 1
%rep PIR_SLOTS
        db      0, SLOT << 3
  %assign PIN 0
  %rep 4
        db      0x60 + ((SLOT - 1 + PIN) & 3)
        dw      PIR_MASK
    %assign PIN PIN + 1
  %endrep
        db      0, 0                    ; on the board, not in a slot
  %assign PIR_SUM PIR_SUM + (SLOT << 3) + 0x60*4 + 6 + 4*(((1<<10)|(1<<11)) >> 8)
  %assign SLOT SLOT + 1
%endrep
PIR_BYTES       equ $ - pir
PIR_TOTAL       equ '$' + 'P' + 'I' + 'R' + 1 + (PIR_BYTES & 0xFF) + (PIR_BYTES >> 8) + (1 << 3) \
                    + 0x86 + 0x80 + 0x2E + 0x12 + PIR_SUM

; SMBIOS 2.4 entry point; the structures are copied to the EBDA, where the memory size is filled in.
SMBIOS_ADDRESS  equ EBDA_LINEAR + E_SMBIOS
        align   16, db 0
smbios: db      "_SM_"
        db      (0 - SMBIOS_SUM) & 0xFF
        db      0x1F
        db      2, 4
        dw      SMBIOS_LARGEST
        db      0
        times   5 db 0
        db      "_DMI_"
        db      (0 - DMI_SUM) & 0xFF
        dw      SMBIOS_BYTES
        dd      SMBIOS_ADDRESS
        dw      SMBIOS_COUNT
        db      0x24
DMI_SUM         equ '_'*2 + 'D' + 'M' + 'I' + (SMBIOS_BYTES & 0xFF) + (SMBIOS_BYTES >> 8) \
                    + (SMBIOS_ADDRESS & 0xFF) + ((SMBIOS_ADDRESS >> 8) & 0xFF) + (SMBIOS_ADDRESS >> 16) \
                    + SMBIOS_COUNT + 0x24
; the second part, its checksum included, adds up to zero
SMBIOS_SUM      equ '_'*2 + 'S' + 'M' + 0x1F + 2 + 4 + (SMBIOS_LARGEST & 0xFF) + (SMBIOS_LARGEST >> 8)

smbios_table:
smbios_bios:    ; type 0
        db      0, 0x18
        dw      0x0000
        db      1, 2
        dw      0xE000                  ; starting segment
        db      3
        db      1                       ; 128 KiB
        dd      (1 << 7) | (1 << 16), 0 ; PCI, selectable boot
        db      1, 0                    ; ACPI
        db      0, 1, 0xFF, 0xFF
        db      "Emu86", 0, "1", 0, "11/23/2026", 0, 0
smbios_system:  ; type 1
        db      1, 0x1B
        dw      0x0100
        db      1, 2, 0, 0
        times   16 db 0
        db      6, 0, 0                 ; woken by the power switch
        db      "Emu86", 0, "PC", 0, 0
smbios_chassis: ; type 3
        db      3, 0x11
        dw      0x0300
        db      1, 3, 0, 0, 0           ; desktop
        db      3, 3, 3, 2              ; safe; no security
        dd      0
        db      "Emu86", 0, 0
smbios_array:   ; type 16
        db      16, 0x0F
        dw      0x1000
        db      3, 3, 3                 ; system board, system memory, no error correction
smbios_array_kib:
        dd      0
        dw      0xFFFE, 1
        db      0, 0
smbios_module:  ; type 17
        db      17, 0x1B
        dw      0x1100
        dw      0x1000, 0xFFFE, 64, 64
smbios_module_mib:
        dw      0
        db      9, 0, 1, 0, 7           ; DIMM, RAM
        dw      0, 0
        db      0, 0, 0, 0
        db      "DIMM 0", 0, 0
smbios_mapped:  ; type 19
        db      19, 0x0F
        dw      0x1300
        dd      0
smbios_mapped_end:
        dd      0
        dw      0x1000
        db      1
        db      0, 0
smbios_end:     ; type 127
        db      127, 4
        dw      0x7F00
        db      0, 0
SMBIOS_BYTES    equ $ - smbios_table
SMBIOS_COUNT    equ 7
SMBIOS_LARGEST  equ smbios_system - smbios_bios
        times   (E_SMBIOS + SMBIOS_BYTES > 0x400) * -1 db 0     ; the EBDA is full

; POST: FACS and SMBIOS structures into the EBDA, where IDENTIFY data was before. ES = EBDA.
tables_init:
        pusha
        push    ds
        push    cs
        pop     ds
        mov     di, E_FACS
        xor     ax, ax
        mov     cx, 256
        rep stosw
        mov     dword [es:E_FACS], 0x53434146   ; "FACS"
        mov     dword [es:E_FACS+4], 64
        mov     si, smbios_table
        mov     di, E_SMBIOS
        mov     cx, SMBIOS_BYTES
        rep movsb
        mov     eax, [es:E_TOP]
        shr     eax, 10
        mov     [es:E_SMBIOS+smbios_array_kib-smbios_table], eax
        dec     eax
        mov     [es:E_SMBIOS+smbios_mapped_end-smbios_table], eax
        inc     eax
        shr     eax, 10
        mov     [es:E_SMBIOS+smbios_module_mib-smbios_table], ax
        pop     ds
        popa
        ret
