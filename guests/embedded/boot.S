# The boot sector of emu86-guest.img: sector 0 this, sector 1 the counter, from sector 2 the program as it lies at
# 1 MiB. It is read by INT 13h AH=42h (Enhanced Disk Drive) to 64 KiB and moved up in protected mode.
# The build gives ProgramSectors and ProgramEntry.
    .set Load, 0x10000
    .set Home, 0x100000

    .code16
    .globl _start
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7C00, %sp
    sti
    cld
    mov $packet, %si
    mov $0x42, %ah                      # DL is still the drive that the BIOS started
    int $0x13
    jc failed
    in $0x92, %al                       # A20 by port 92h; bit 0 would reset
    or $2, %al
    and $0xFE, %al
    out %al, $0x92
    cli
    lgdt table
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $protected

failed:
    mov $text, %si
1:  lodsb
    test %al, %al
    jz 2f
    mov $0x0E, %ah
    mov $7, %bx
    int $0x10
    jmp 1b
2:  hlt
    jmp 2b

    .code32
protected:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $Load, %esi
    mov $Home, %edi
    mov $(ProgramSectors * 128), %ecx
    rep movsl
    xor %eax, %eax                      # no multiboot loader, no information from one
    xor %ebx, %ebx
    mov $ProgramEntry, %ecx
    jmp *%ecx

    .align 4
packet:
    .byte 16, 0
    .word ProgramSectors, 0, Load >> 4
    .quad 2
    .align 8
descriptors:
    .quad 0
    .quad 0x00CF9A000000FFFF
    .quad 0x00CF92000000FFFF
table:
    .word . - descriptors - 1
    .long descriptors
text:
    .asciz "emu86-guest: the disk cannot be read\r\n"
    .org 510
    .word 0xAA55
