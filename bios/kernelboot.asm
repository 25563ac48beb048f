; Option ROM of the direct boot: takes INT 19h and starts the kernel that the board has placed in memory.
; The board patches the three parameters and the checksum (Emu86.Devices/Board/KernelBootRom.cs).
        bits 16
        org 0
        db 0x55, 0xaa, 1                ; signature, 512 bytes
        jmp short install
        align 8, db 0
multiboot: dd 0                         ; 8: 1 for a multiboot kernel, 0 for Linux
entry:     dd 0                         ; 12: entry address, or the segment of Linux's setup code
info:      dd 0                         ; 16: multiboot information

install:
        push ds
        push 0
        pop ds
        mov word [0x19 * 4], start
        mov [0x19 * 4 + 2], cs
        pop ds
        retf

start:
        cli
        cld
        cmp dword [cs:multiboot], 0
        jne protected
        ; Linux boot protocol: all segments = setup segment, CS = that + 20h.
        mov ax, [cs:entry]
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov sp, 0xe000
        add ax, 0x20
        push ax
        push word 0
        retf

protected:
        mov ax, 0x2401                  ; open A20
        int 0x15
        cli
        mov edi, [cs:entry]
        mov ebx, [cs:info]
        ; The descriptor table must stay where the kernel may look at it until it loads its own: copy it to 3F000h.
        mov ax, 0x3f00
        mov es, ax
        xor si, si
.copy:  mov al, [cs:table + si]
        mov [es:si], al
        inc si
        cmp si, table.end - table
        jb .copy
        o32 lgdt [es:table.register - table]
        mov dword [es:0x80], edi
        mov eax, cr0
        or al, 1
        mov cr0, eax
        mov word [es:0x84], 8
        mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov eax, 0x2badb002
        a32 jmp far dword [dword 0x3f080]

        align 8, db 0
table:  dq 0
        dq 0x00cf9a000000ffff           ; code, flat
        dq 0x00cf92000000ffff           ; data, flat
.register: dw .register - table - 1
        dd 0x3f000
.end:
        times 512 - ($ - $$) db 0
