; INT 10h, AH = 10h: attribute registers and DAC. DS = BDA, BP = the caller's registers.

; The attribute controller expects an index next; DX = 3C0h.
attribute_reset:
        mov     dx, [V_CRTC]
        add     dx, 6
        in      al, dx
        mov     dx, 0x3C0
        ret

; Attribute register BL = BH, display on again.
attribute_write:
        push    ax
        push    dx
        call    attribute_reset
        mov     al, bl
        out     dx, al
        mov     al, bh
        out     dx, al
        mov     al, 0x20
        out     dx, al
        pop     dx
        pop     ax
        ret

; AL = attribute register BL.
attribute_read:
        push    dx
        call    attribute_reset
        mov     al, bl
        out     dx, al
        inc     dx
        in      al, dx
        push    ax
        call    attribute_reset
        mov     al, 0x20
        out     dx, al
        pop     ax
        pop     dx
        ret

; The 64 colours of the EGA in the first DAC entries: bits 2 1 0 two thirds, bits 5 4 3 one third of red, green, blue.
dac_default:
        push    si
        mov     dx, 0x3C6
        mov     al, 0xFF
        out     dx, al
        mov     dx, 0x3C8
        mov     al, 0
        out     dx, al
        inc     dx
        mov     cl, 0
.entry: mov     bl, 0x24                ; red: bits 2, 5
.part:  mov     al, 0
        mov     bh, bl
        and     bh, cl
        test    bh, 0x07
        jz      .low
        mov     al, 0x2A
.low:   test    bh, 0x38
        jz      .out
        add     al, 0x15
.out:   out     dx, al
        shr     bl, 1
        cmp     bl, 0x04
        ja      .part
        inc     cl
        cmp     cl, 64
        jb      .entry
        pop     si
        ret

palette:
        mov     al, [bp+F_AL]
        mov     bx, [bp+F_BX]
        cmp     al, 0x00
        je      attribute_write
        cmp     al, 0x01
        je      .border
        cmp     al, 0x02
        je      .all
        cmp     al, 0x03
        je      .blink
        cmp     al, 0x07
        je      .get
        cmp     al, 0x08
        je      .get_border
        cmp     al, 0x09
        je      .get_all
        cmp     al, 0x10
        je      .dac
        cmp     al, 0x12
        je      .dac_block
        cmp     al, 0x15
        je      .dac_get
        cmp     al, 0x17
        je      .dac_get_block
        ret
.border:
        mov     bl, 0x11
        jmp     attribute_write
.all:   mov     es, [bp+F_ES]
        mov     si, [bp+F_DX]
        mov     bl, 0
.all_next:
        mov     bh, [es:si]
        inc     si
        call    attribute_write
        inc     bl
        cmp     bl, 16
        jb      .all_next
        mov     bh, [es:si]
        jmp     .border
.blink: mov     ah, bl
        mov     bl, 0x10
        call    attribute_read
        and     al, 0xF7
        and     ah, 1
        shl     ah, 3
        or      al, ah
        mov     bh, al
        jmp     attribute_write
.get_border:
        mov     bl, 0x11
.get:   call    attribute_read
        mov     [bp+F_BH], al
        ret
.get_all:
        mov     es, [bp+F_ES]
        mov     di, [bp+F_DX]
        mov     bl, 0
.get_next:
        call    attribute_read
        stosb
        inc     bl
        cmp     bl, 16
        jb      .get_next
        mov     bl, 0x11
        call    attribute_read
        stosb
        ret
.dac:   mov     dx, 0x3C8
        mov     al, bl
        out     dx, al
        inc     dx
        mov     al, [bp+F_DH]
        out     dx, al
        mov     al, [bp+F_CH]
        out     dx, al
        mov     al, [bp+F_CL]
        out     dx, al
        ret
.dac_block:
        mov     es, [bp+F_ES]
        mov     si, [bp+F_DX]
        mov     cx, [bp+F_CX]
        mov     dx, 0x3C8
        mov     al, bl
        out     dx, al
        inc     dx
        imul    cx, cx, 3
        jcxz    .ret
.dac_next:
        mov     al, [es:si]
        inc     si
        out     dx, al
        loop    .dac_next
.ret:   ret
.dac_get:
        mov     dx, 0x3C7
        mov     al, bl
        out     dx, al
        mov     dx, 0x3C9
        in      al, dx
        mov     [bp+F_DH], al
        in      al, dx
        mov     [bp+F_CH], al
        in      al, dx
        mov     [bp+F_CL], al
        ret
.dac_get_block:
        mov     es, [bp+F_ES]
        mov     di, [bp+F_DX]
        mov     cx, [bp+F_CX]
        mov     dx, 0x3C7
        mov     al, bl
        out     dx, al
        mov     dx, 0x3C9
        imul    cx, cx, 3
        jcxz    .ret
        rep insb
        ret
