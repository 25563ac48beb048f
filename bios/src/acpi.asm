; ACPI 1.0b tables in the ROM itself: RSDP, RSDT, FADT, DSDT; nothing in them depends on the machine.
; The FACS, which must be writable, is made in the EBDA by POST. No MADT: interrupts come through the 8259A pair.
; Checksums are summed by the macros below from what they emit, so every field is a number known early.

%define ACPI_ADDRESS(offset) (0xF0000 + (offset))
RSDT_OFFSET     equ 0x0020
FADT_OFFSET     equ 0x0050
DSDT_OFFSET     equ 0x0100

%macro SUM_BYTE 1-*                     ; bytes, counted in SUM
  %rep %0
        db      (%1) & 0xFF
    %assign SUM (SUM + ((%1) & 0xFF)) & 0xFF
    %rotate 1
  %endrep
%endmacro
%macro SUM_WORD 1-*
  %rep %0
        SUM_BYTE %1, (%1) >> 8
    %rotate 1
  %endrep
%endmacro
%macro SUM_DWORD 1-*
  %rep %0
        SUM_BYTE %1, (%1) >> 8, (%1) >> 16, (%1) >> 24
    %rotate 1
  %endrep
%endmacro
; Signature (four characters), length, revision, checksum, OEM id "EMU86 ", table id "EMU86PC ", revisions.
%macro ACPI_HEADER 7                    ; a, b, c, d, length, revision, checksum
  %assign SUM 0
        SUM_BYTE %1, %2, %3, %4
        SUM_DWORD %5
        SUM_BYTE %6
        db      (0 - %7) & 0xFF
        SUM_BYTE 'E','M','U','8','6',' ', 'E','M','U','8','6','P','C',' '
        SUM_DWORD 1
        SUM_BYTE 'E','M','8','6'
        SUM_DWORD 1
%endmacro

  %assign SUM 0
rsdp:   SUM_BYTE 'R','S','D',' ','P','T','R',' '
        db      (0 - RSDP_SUM) & 0xFF
        SUM_BYTE 'E','M','U','8','6',' ', 0
        SUM_DWORD 0xF0020
RSDP_SUM equ SUM

        times   RSDT_OFFSET-($-$$) db 0
rsdt:   ACPI_HEADER 'R','S','D','T', 40, 1, RSDT_SUM
        SUM_DWORD 0xF0050
RSDT_SUM equ SUM

        times   FADT_OFFSET-($-$$) db 0
fadt:   ACPI_HEADER 'F','A','C','P', 116, 1, FADT_SUM
        SUM_DWORD 0x9FE00               ; FACS: EBDA_LINEAR + E_FACS
        SUM_DWORD 0xF0100               ; DSDT
        SUM_BYTE 0, 0                   ; PIC mode only
        SUM_WORD 9                      ; SCI
        SUM_DWORD 0                     ; no SMI command: ACPI mode is on from the start
        SUM_BYTE 0, 0, 0, 0
        SUM_DWORD 0x600, 0              ; PM1 event block
        SUM_DWORD 0x604, 0              ; PM1 control block
        SUM_DWORD 0                     ; PM2
        SUM_DWORD 0x608                 ; timer
        SUM_DWORD 0, 0                  ; no general purpose events
        SUM_BYTE 4, 2, 0, 4             ; lengths of those
        SUM_BYTE 0, 0, 0, 0
        SUM_WORD 0xFFF, 0xFFF           ; no C2, C3
        SUM_WORD 0, 0
        SUM_BYTE 0, 0, 0, 0, 0x32       ; century in CMOS 32h
        SUM_BYTE 0, 0, 0
        SUM_DWORD 0x25                  ; WBINVD works, C1 works, no sleep button; 24-bit timer
FADT_SUM equ SUM
%if EBDA_LINEAR + E_FACS != 0x9FE00
  %error FACS moved: the FADT names its address
%endif
        times   116-($-fadt) db 0       ; negative if a field is too many
        times   ($-fadt)-116 db 0

        times   DSDT_OFFSET-($-$$) db 0
        incbin  "dsdt.aml"
