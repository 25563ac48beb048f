# Entry, multiboot header (Multiboot 1, "3.1 OS image format"), and one stub for each interrupt vector.
    .set Magic, 0x1BADB002
    .set Flags, 3                       # modules on page boundaries, memory information

    .section .multiboot, "a"
    .align 4
    .long Magic, Flags, -(Magic + Flags)

    .text
    .globl entry
entry:
    cli
    cld
    mov %eax, %edx
    xor %eax, %eax
    mov $bssStart, %edi
    mov $bssEnd, %ecx
    sub %edi, %ecx
    shr $2, %ecx
    rep stosl                           # the boot sector does not do it
    mov %edx, %eax
    mov $stackTop, %esp
    lgdt descriptorTable
    ljmp $8, $1f
1:  mov $16, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    xor %ecx, %ecx
    mov %ecx, %fs
    mov %ecx, %gs
    push %ebx                           # information from the loader
    push %eax                           # 2BADB002h
    call guest
2:  cli
    hlt
    jmp 2b

# Flat code and data segments.
    .section .rodata
    .align 8
descriptors:
    .quad 0
    .quad 0x00CF9A000000FFFF
    .quad 0x00CF92000000FFFF
descriptorTable:
    .word . - descriptors - 1
    .long descriptors

    .text
    .altmacro
    .macro stub vector
stub\vector:
    .if (\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17)
    .else
    push $0                             # the processor pushes an error code for the others
    .endif
    push $\vector
    jmp common
    .endm
    .set v, 0
    .rept 48
    stub %v
    .set v, v + 1
    .endr

common:
    pusha
    cld
    push %esp
    call interrupt
    add $4, %esp
    popa
    add $8, %esp
    iret

    .section .rodata
    .globl stubs
    .macro address vector
    .long stub\vector
    .endm
stubs:
    .set v, 0
    .rept 48
    address %v
    .set v, v + 1
    .endr

    .bss
    .align 16
    .skip 16384
stackTop:
    .section .note.GNU-stack, "", @progbits
