; ROM entry, INT 10h dispatch, mode set, and what describes the adapter (1Ah, 1Bh, 12h).

; Called by POST at offset 3.
init:   pushad
        push    ds
        push    es
        xor     ax, ax
        mov     ds, ax
        mov     word [0x10*4], int10
        mov     [0x10*4+2], cs
        mov     word [0x1F*4], font8+128*8
        mov     [0x1F*4+2], cs
        mov     word [0x43*4], font16
        mov     [0x43*4+2], cs
        mov     dx, 0x3C3               ; adapter on
        mov     al, 1
        out     dx, al
        push    BDA_SEG
        pop     ds
        mov     byte [V_INFO], 0x60     ; 256 KiB, screen cleared at mode set
        mov     byte [V_SWITCHES], 0xF9
        mov     byte [V_FLAGS], 0x11    ; 400 lines, VGA active
        mov     byte [V_DCC], 8
        mov     ax, 0x0003
        int     0x10
        pop     es
        pop     ds
        popad
        retf

int10:  ENTER_SERVICE
        movzx   bx, ah
        cmp     bl, 0x1B
        ja      .leave
        add     bx, bx
        call    [cs:bx+.table]
.leave: LEAVE_SERVICE
.table: dw      set_mode, cursor_shape, cursor_set, cursor_get, light_pen, page_select, scroll_up, scroll_down
        dw      cell_read, cell_write, cell_write_char, nothing, nothing, nothing, teletype, mode_get
        dw      palette, font_service, alternate, write_string, nothing, nothing, nothing, nothing
        dw      nothing, nothing, display_code, state_get

nothing:
        ret

light_pen:
        mov     byte [bp+F_AH], 0       ; not triggered
        ret

mode_get:
        mov     al, [V_MODE]
        mov     ah, [V_INFO]
        and     ah, 0x80
        or      al, ah
        mov     [bp+F_AL], al
        mov     al, [V_COLS]
        mov     [bp+F_AH], al
        mov     al, [V_PAGE]
        mov     [bp+F_BH], al
        ret

; AL = mode; bit 7: memory is not cleared. Modes this ROM does not have leave everything as it is.
set_mode:
        mov     ah, al
        and     al, 0x7F
        mov     si, mode_40
        cmp     al, 2
        jb      .known
        mov     si, mode_80
        cmp     al, 4
        jb      .known
        mov     si, mode_mono
        cmp     al, 7
        je      .known
        ret
.known: mov     [V_MODE], al
        and     byte [V_INFO], 0x7F
        mov     bl, ah
        and     bl, 0x80
        or      [V_INFO], bl
        mov     [bp+F_AL], byte 0x30    ; what IBM's BIOS leaves for text modes

        mov     dx, 0x3C2               ; miscellaneous output, the rest of the table in its order
        mov     al, [cs:si]
        out     dx, al
        inc     si
        mov     di, 0x3D4
        test    al, 1
        jnz     .colour
        mov     di, 0x3B4
.colour:
        mov     [V_CRTC], di
        mov     dx, 0x3C4               ; sequencer, in reset while it changes
        mov     ax, 0x0100
        out     dx, ax
        mov     cl, 1
.seq:   mov     al, cl
        mov     ah, [cs:si]
        inc     si
        out     dx, ax
        inc     cl
        cmp     cl, 5
        jb      .seq
        mov     ax, 0x0300
        out     dx, ax
        mov     dx, di                  ; CRTC, registers 0-7 unlocked first
        mov     ax, 0x0011
        out     dx, ax
        mov     cl, 0
.crtc:  mov     al, cl
        mov     ah, [cs:si]
        inc     si
        out     dx, ax
        inc     cl
        cmp     cl, 25
        jb      .crtc
        mov     dx, 0x3CE
        mov     cl, 0
.gc:    mov     al, cl
        mov     ah, [cs:si]
        inc     si
        out     dx, ax
        inc     cl
        cmp     cl, 9
        jb      .gc
        call    attribute_reset
        mov     cl, 0
.attr:  mov     dx, 0x3C0
        mov     al, cl
        out     dx, al
        mov     al, [cs:si]
        inc     si
        out     dx, al
        inc     cl
        cmp     cl, 21
        jb      .attr
        mov     al, 0x20                ; display on
        out     dx, al
        call    dac_default

        mov     al, [cs:si]
        mov     ah, 0
        mov     [V_COLS], ax
        mov     ax, [cs:si+1]
        mov     [V_PAGESIZE], ax
        mov     al, [cs:si+3]
        mov     [V_MODECTL], al
        mov     byte [V_ROWS], 24
        mov     word [V_HEIGHT], 16
        mov     word [V_SHAPE], 0x0607
        mov     word [V_START], 0
        mov     byte [V_PAGE], 0
        push    ds
        pop     es
        mov     di, V_CURSOR
        xor     ax, ax
        mov     cx, 8
        rep stosw
        mov     si, font16
        mov     bx, 16
        call    font_load_rom
        test    byte [V_INFO], 0x80
        jnz     .kept
        call    text_segment
        xor     di, di
        mov     ax, 0x0720
        mov     cx, 0x4000
        rep stosw
.kept:  mov     cx, 0x0607
        call    cursor_shape_cx
        xor     ax, ax
        jmp     page_show

; misc; sequencer 1-4; CRTC 0-18h; graphics 0-8; attribute 0-14h; columns, page size, mode control
mode_80:
        db      0x67
        db      0x00,0x03,0x00,0x02
        db      0x5F,0x4F,0x50,0x82,0x55,0x81,0xBF,0x1F,0x00,0x4F,0x0D,0x0E,0x00,0x00,0x00,0x00
        db      0x9C,0x8E,0x8F,0x28,0x1F,0x96,0xB9,0xA3,0xFF
        db      0x00,0x00,0x00,0x00,0x00,0x10,0x0E,0x00,0xFF
        db      0x00,0x01,0x02,0x03,0x04,0x05,0x14,0x07,0x38,0x39,0x3A,0x3B,0x3C,0x3D,0x3E,0x3F,0x0C,0x00,0x0F,0x08,0x00
        db      80
        dw      0x1000
        db      0x29
mode_40:
        db      0x67
        db      0x08,0x03,0x00,0x02
        db      0x2D,0x27,0x28,0x90,0x2B,0xA0,0xBF,0x1F,0x00,0x4F,0x0D,0x0E,0x00,0x00,0x00,0x00
        db      0x9C,0x8E,0x8F,0x14,0x1F,0x96,0xB9,0xA3,0xFF
        db      0x00,0x00,0x00,0x00,0x00,0x10,0x0E,0x00,0xFF
        db      0x00,0x01,0x02,0x03,0x04,0x05,0x14,0x07,0x38,0x39,0x3A,0x3B,0x3C,0x3D,0x3E,0x3F,0x0C,0x00,0x0F,0x08,0x00
        db      40
        dw      0x0800
        db      0x28
mode_mono:
        db      0x66
        db      0x00,0x03,0x00,0x02
        db      0x5F,0x4F,0x50,0x82,0x55,0x81,0xBF,0x1F,0x00,0x4F,0x0D,0x0E,0x00,0x00,0x00,0x00
        db      0x9C,0x8E,0x8F,0x28,0x0F,0x96,0xB9,0xA3,0xFF
        db      0x00,0x00,0x00,0x00,0x00,0x10,0x0A,0x00,0xFF
        db      0x00,0x08,0x08,0x08,0x08,0x08,0x08,0x08,0x10,0x18,0x18,0x18,0x18,0x18,0x18,0x18,0x0E,0x00,0x0F,0x08,0x00
        db      80
        dw      0x1000
        db      0x29

; 12h: alternate select, BL = function.
alternate:
        mov     bl, [bp+F_BL]
        cmp     bl, 0x10
        jne     .not_info
        mov     word [bp+F_BX], 0x0003  ; colour, 256 KiB
        cmp     byte [V_MODE], 7
        jne     .colour
        mov     byte [bp+F_BH], 1
.colour:
        mov     word [bp+F_CX], 0x0009  ; feature bits, switches
        ret
.not_info:
        cmp     bl, 0x30                ; scan lines: always 400
        je      .accepted
        cmp     bl, 0x31                ; default palette at mode set: always
        je      .accepted
        cmp     bl, 0x34                ; cursor emulation: AL 0 on, 1 off
        jne     .not_cursor
        mov     al, [bp+F_AL]
        and     al, 1
        and     byte [V_INFO], 0xFE
        or      [V_INFO], al
        jmp     .accepted
.not_cursor:
        cmp     bl, 0x36                ; refresh: AL 0 on, 1 off
        jne     .ret
        mov     dx, 0x3C4
        mov     al, 1
        out     dx, al
        inc     dx
        in      al, dx
        and     al, 0xDF
        mov     ah, [bp+F_AL]
        and     ah, 1
        shl     ah, 5
        or      al, ah
        out     dx, al
.accepted:
        mov     byte [bp+F_AL], 0x12
.ret:   ret

display_code:
        cmp     byte [bp+F_AL], 1
        ja      .ret
        je      .set
        movzx   ax, byte [V_DCC]
        mov     [bp+F_BX], ax
        jmp     .done
.set:   mov     al, [bp+F_BL]
        mov     [V_DCC], al
.done:  mov     byte [bp+F_AL], 0x1A
.ret:   ret

; 1Bh: 64 bytes of state to ES:DI.
state_get:
        cmp     word [bp+F_BX], 0
        jne     .ret
        mov     es, [bp+F_ES]
        mov     di, [bp+F_DI]
        mov     bx, di
        xor     ax, ax
        mov     cx, 32
        rep stosw
        mov     word [es:bx], static_functions
        mov     [es:bx+2], cs
        mov     si, V_MODE
        lea     di, [bx+4]
        mov     cx, 30
        rep movsb
        mov     al, [V_ROWS]
        inc     al
        mov     [es:bx+0x22], al
        mov     ax, [V_HEIGHT]
        mov     [es:bx+0x23], ax
        mov     al, [V_DCC]
        mov     [es:bx+0x25], al
        mov     word [es:bx+0x27], 16   ; colours
        mov     byte [es:bx+0x29], 8    ; pages
        mov     byte [es:bx+0x2A], 2    ; 400 lines
        mov     byte [es:bx+0x31], 3    ; 256 KiB
        mov     byte [bp+F_AL], 0x1B
.ret:   ret
static_functions:
        db      0x8F, 0, 0, 0, 0, 0, 0  ; modes 0-3, 7
        db      4                       ; 400 lines
        db      1, 1                    ; character blocks
        db      0x0C, 0x0C              ; palette, DAC; cursor emulation
        dw      0
        db      0, 0
