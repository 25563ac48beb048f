; The ROM image: 128 KiB, E0000h-FFFFFh, aliased below 4 GiB.
; First half: our VGA BIOS at E000:0, the rest empty. Second half: the system BIOS, segment F000.
        cpu     486
        bits    16
%include "defs.inc"

section vgarom start=0
        incbin  "emu86-vgabios.bin"
        times   0x10000-($-$$) db 0xFF

section system start=0x10000 vstart=0
bios_start:
%include "tables.asm"
%include "post.asm"
%include "memory.asm"
%include "pci.asm"
%include "pci_service.asm"
%include "debug.asm"
%include "timer.asm"
%include "keyboard.asm"
%include "keymap.asm"
%include "ide.asm"
%include "disk.asm"
%include "cdrom.asm"
%include "system.asm"
%include "serial.asm"
%include "boot.asm"
%include "apic.asm"
code_end:

        times   0xFFF0-($-$$) db 0xFF
        jmp     BIOS_SEG:post           ; F000:FFF0, where the processor starts
        db      "11/23/26"              ; F000:FFF5 release date
        db      0xFF
        db      0xFC                    ; F000:FFFE model: AT
        db      0x00
