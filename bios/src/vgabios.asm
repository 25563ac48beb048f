; The video BIOS: a 32 KiB option ROM that runs at any segment, usually C000h or, inside the system ROM, E000h.
; Text modes 0-3 and 7 of a VGA (IBM PS/2 hardware interface reference, video subsystem).
; The last byte is the checksum, set by build.sh.
        cpu     486
        bits    16
        org     0
%include "defs.inc"

V_MODE          equ 0x49
V_COLS          equ 0x4A                ; word
V_PAGESIZE      equ 0x4C                ; word, bytes
V_START         equ 0x4E                ; word, bytes
V_CURSOR        equ 0x50                ; 8 words: column low, row high
V_SHAPE         equ 0x60                ; word: last line low, first line high
V_PAGE          equ 0x62
V_CRTC          equ 0x63                ; word: 3D4h or 3B4h
V_MODECTL       equ 0x65
V_ROWS          equ 0x84                ; rows - 1
V_HEIGHT        equ 0x85                ; word: lines per character
V_INFO          equ 0x87
V_SWITCHES      equ 0x88
V_FLAGS         equ 0x89
V_DCC           equ 0x8A

rom:    dw      0xAA55
        db      64                      ; 32 KiB
        jmp     init
        times   0x18-($-rom) db 0
        dw      pcir                    ; PCI 2.1, 6.3.1.1
        times   0x20-($-rom) db 0
        align   4, db 0
pcir:   db      "PCIR"
        dw      0x1234, 0x1111          ; the display adapter of the board
        dw      0                       ; no vital product data
        dw      24
        db      0                       ; revision
        db      0x00, 0x00, 0x03        ; VGA compatible
        dw      64                      ; length, 512 bytes
        dw      1
        db      0                       ; PC-AT code
        db      0x80                    ; last image
        dw      0
        db      "Emu86 VGA BIOS", 0

%include "vga_mode.asm"
%include "vga_text.asm"
%include "vga_palette.asm"
%include "vga_font.asm"

        times   0x7FFF-($-rom) db 0xFF
        db      0                       ; checksum
