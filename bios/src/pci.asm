; PCI: configuration mechanism 1 and what POST programs into the i440FX/PIIX3 board
; (PCI 2.1 section 3.7.4; Intel 82371SB and 82371AB data sheets).

; Address of register BL (byte) of device BH:(dev<<3|fn) -> CF8h; DX = data port. Bus 0 only.
pci_select:
        push    eax
        mov     eax, 0x80000000
        mov     ax, bx
        and     al, 0xFC
        mov     dx, 0xCF8
        out     dx, eax
        mov     dl, bl
        and     dx, 3
        add     dx, 0xCFC
        pop     eax
        ret

pci_read32:
        push    dx
        call    pci_select
        in      eax, dx
        pop     dx
        ret
pci_read16:
        push    dx
        call    pci_select
        in      ax, dx
        pop     dx
        ret
pci_read8:
        push    dx
        call    pci_select
        in      al, dx
        pop     dx
        ret
pci_write32:
        push    dx
        call    pci_select
        out     dx, eax
        pop     dx
        ret
pci_write16:
        push    dx
        call    pci_select
        out     dx, ax
        pop     dx
        ret
pci_write8:
        push    dx
        call    pci_select
        out     dx, al
        pop     dx
        ret

; POST: everything on bus 0. ES = EBDA.
pci_init:
        mov     dword [es:E_IOBASE], PCI_IO_FIRST
        mov     dword [es:E_MEMBASE], PCI_MEM_FIRST
        mov     dword [es:E_BIGBASE], PCI_BIG_FIRST
        xor     bx, bx                  ; BH = dev<<3 | fn
.device:
        mov     bl, 0
        call    pci_read32
        cmp     ax, 0xFFFF
        je      .absent
        call    pci_setup
        test    bh, 7
        jnz     .next
        mov     bl, 0x0E                ; header type bit 7: more functions
        call    pci_read8
        test    al, 0x80
        jnz     .next
.skip:  or      bh, 7
        jmp     .next
.absent:
        test    bh, 7
        jz      .skip
.next:  inc     bh
        jnz     .device
        ret

; One function BH; EAX = device and vendor.
pci_setup:
        mov     edi, eax
        cmp     edi, 0x70008086         ; PIIX3: PIRQ A..D to the two interrupts
        jne     .not_isa
        mov     bl, 0x60
        mov     eax, (IRQ_ODD << 24) | (IRQ_EVEN << 16) | (IRQ_ODD << 8) | IRQ_EVEN
        call    pci_write32
        mov     dx, 0x4D1               ; edge/level control: the two and the SCI are level
        mov     al, (1 << (IRQ_EVEN-8)) | (1 << (IRQ_ODD-8)) | (1 << (SCI_IRQ-8))
        out     dx, al
        mov     dx, 0x4D0
        mov     al, 0
        out     dx, al
.not_isa:
        cmp     edi, 0x70108086         ; PIIX3 IDE: both channels decoded, fast timing off
        jne     .not_ide
        mov     bl, 0x40
        mov     eax, 0x80008000
        call    pci_write32
.not_ide:
        cmp     edi, 0x71138086         ; power management: bases, enabled; ACPI mode from here on
        jne     .not_pm
        mov     bl, 0x40
        mov     eax, PM_BASE | 1
        call    pci_write32
        mov     bl, 0x80
        mov     al, 1
        call    pci_write8
        mov     bl, 0x90
        mov     eax, SMB_BASE | 1
        call    pci_write32
        mov     bl, 0xD2
        mov     al, 9
        call    pci_write8
        mov     dx, PM_BASE+4           ; PM1 control: SCI_EN; there is no SMI to set it for us
        mov     ax, 1
        out     dx, ax
        mov     bl, 0x3C
        mov     al, SCI_IRQ
        call    pci_write8
        jmp     .command
.not_pm:
        mov     bl, 0x0E
        call    pci_read8
        and     al, 0x7F
        jnz     .irq                    ; only ordinary devices have these BARs
        mov     bl, 4                   ; no decoding while the BARs hold their masks
        call    pci_read16
        and     ax, 0xFFFC
        call    pci_write16
        mov     bl, 0x10
.bar:   call    pci_bar
        add     bl, 4
        cmp     bl, 0x28
        jb      .bar
.irq:   mov     bl, 0x3D
        call    pci_read8
        test    al, al
        jz      .command
        mov     ah, bh                  ; PIRQ = (device - 1 + pin - 1) mod 4; even: A, C
        shr     ah, 3
        add     al, ah
        and     al, 1
        mov     al, IRQ_EVEN
        jz      .even
        mov     al, IRQ_ODD
.even:  mov     bl, 0x3C
        call    pci_write8
.command:
        mov     bl, 4
        call    pci_read16
        or      ax, 7                   ; I/O, memory, bus master
        jmp     pci_write16

; Sizes and places the BAR at register BL; skips the upper half of 64-bit ones.
pci_bar:
        cmp     edi, 0x70108086         ; the IDE function: only BAR 4 exists, the rest are legacy ports
        jne     .any
        cmp     bl, 0x20
        jne     .none
.any:   mov     eax, 0xFFFFFFFF
        call    pci_write32
        call    pci_read32
        test    eax, eax
        jz      .none
        mov     ecx, eax
        test    al, 1
        jnz     .io
        and     eax, 0xFFFFFFF0
        jz      .none
        neg     eax                     ; EAX = size
        mov     si, E_MEMBASE
        cmp     eax, 0x100000
        jb      .place
        mov     si, E_BIGBASE
        jmp     .place
.io:    or      eax, 0xFFFF0000         ; devices may leave the upper half zero
        and     eax, 0xFFFFFFFC
        neg     eax
        mov     si, E_IOBASE
.place: mov     edx, [es:si]            ; align the next free address, take it
        dec     eax
        add     edx, eax
        not     eax
        and     edx, eax
        not     eax
        inc     eax
        add     eax, edx
        mov     [es:si], eax
        mov     eax, edx
        call    pci_write32
        and     cl, 7
        cmp     cl, 4                   ; a 64-bit memory BAR: upper half zero
        jne     .none
        add     bl, 4
        xor     eax, eax
        call    pci_write32
.none:  ret
