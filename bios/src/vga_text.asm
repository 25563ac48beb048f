; Text: cursor, scrolling, characters (INT 10h 01h-0Ah, 0Eh, 13h). DS = BDA, BP = the caller's registers.

; ES = the text memory.
text_segment:
        push    ax
        mov     ax, 0xB800
        cmp     byte [V_MODE], 7
        jne     .colour
        mov     ah, 0xB0
.colour:
        mov     es, ax
        pop     ax
        ret

; CRTC register AL = AH.
crtc_write:
        push    dx
        mov     dx, [V_CRTC]
        out     dx, ax
        pop     dx
        ret

; DI = address in text memory of row DH, column DL of page BH; ES = text memory.
cell_address:
        push    ax
        push    bx
        push    dx
        push    dx
        mov     al, dh
        mul     byte [V_COLS]
        pop     dx
        mov     dh, 0
        add     ax, dx
        add     ax, ax
        mov     di, ax
        mov     al, bh
        mov     ah, 0
        mul     word [V_PAGESIZE]
        add     di, ax
        call    text_segment
        pop     dx
        pop     bx
        pop     ax
        ret

; DX = cursor of page BH.
cursor_of:
        push    bx
        mov     bl, bh
        and     bx, 7
        add     bx, bx
        mov     dx, [bx+V_CURSOR]
        pop     bx
        ret

; Cursor of page BH to DX; the hardware follows when the page is shown.
cursor_move:
        push    bx
        mov     bl, bh
        and     bx, 7
        add     bx, bx
        mov     [bx+V_CURSOR], dx
        pop     bx
        cmp     bh, [V_PAGE]
        jne     .ret
        push    ax
        push    di
        push    es
        call    cell_address
        shr     di, 1
        mov     ax, di
        mov     al, 0x0E
        call    crtc_write
        mov     ax, di
        mov     ah, al
        mov     al, 0x0F
        call    crtc_write
        pop     es
        pop     di
        pop     ax
.ret:   ret

; 01h
cursor_shape:
        mov     cx, [bp+F_CX]
cursor_shape_cx:
        mov     [V_SHAPE], cx
        test    byte [V_INFO], 1        ; emulation off
        jnz     .raw
        cmp     byte [V_HEIGHT], 8
        jbe     .raw
        mov     ax, cx                  ; lines of an 8-line cell become lines of this one
        and     ax, 0x1F1F
        cmp     ah, 8
        jae     .raw
        cmp     al, 8
        jae     .raw
        mov     bl, al
        sub     bl, ah                  ; an underline stays one
        mov     bh, ah
        inc     al
        mul     byte [V_HEIGHT]
        shr     ax, 3
        dec     ax
        mov     cl, al                  ; last line
        and     ch, 0xE0
        cmp     bl, 1
        je      .underline
        mov     al, bh
        inc     al
        mul     byte [V_HEIGHT]
        shr     ax, 3
        dec     ax
        or      ch, al
        jmp     .raw
.underline:
        mov     al, cl
        dec     al
        or      ch, al
.raw:   mov     ah, ch
        mov     al, 0x0A
        call    crtc_write
        mov     ah, cl
        mov     al, 0x0B
        jmp     crtc_write

; 02h
cursor_set:
        mov     dx, [bp+F_DX]
        mov     bh, [bp+F_BH]
        jmp     cursor_move

; 03h
cursor_get:
        mov     bh, [bp+F_BH]
        call    cursor_of
        mov     [bp+F_DX], dx
        mov     cx, [V_SHAPE]
        mov     [bp+F_CX], cx
        ret

; 05h
page_select:
        cmp     al, 7
        ja      page_show.ret
; Page AL becomes the shown one.
page_show:
        mov     [V_PAGE], al
        mov     bh, al
        mov     ah, 0
        mul     word [V_PAGESIZE]
        mov     [V_START], ax
        shr     ax, 1
        mov     cx, ax
        mov     al, 0x0C
        call    crtc_write
        mov     ah, cl
        mov     al, 0x0D
        call    crtc_write
        call    cursor_of
        jmp     cursor_move
.ret:   ret

; 06h, 07h: window CX-DX by AL lines, new lines with attribute BH.
scroll_up:
        mov     bl, 0
        jmp     scroll
scroll_down:
        mov     bl, 1
scroll:
        mov     al, [bp+F_AL]
        mov     bh, [bp+F_BH]
        mov     cx, [bp+F_CX]
        mov     dx, [bp+F_DX]
; AL lines, BH attribute, BL direction, CX-DX window, on the shown page.
scroll_window:
        cmp     dh, [V_ROWS]
        jbe     .rows
        mov     dh, [V_ROWS]
.rows:  cmp     dl, [V_COLS]
        jb      .columns
        mov     dl, [V_COLS]
        dec     dl
.columns:
        cmp     ch, dh
        ja      .ret
        cmp     cl, dl
        ja      .ret
        mov     ah, dh
        sub     ah, ch
        inc     ah                      ; AH = lines of the window
        cmp     al, ah
        ja      .clear
        test    al, al
        jnz     .some
.clear: mov     al, ah
.some:  sub     ah, al                  ; AH lines move, AL lines are blank
        push    ds
        movzx   si, dl                  ; SI = columns of the window
        sub     si, cx
        and     si, 0xFF
        inc     si
        push    word [V_COLS]
        push    bx
        mov     bh, [V_PAGE]
        test    bl, bl
        mov     dl, cl
        jnz     .from_below
        mov     dh, ch
.from_below:
        call    cell_address            ; first line, or the last one when moving down
        pop     bx
        pop     cx
        add     cx, cx                  ; CX = bytes per line
        push    bp
        mov     bp, cx
        test    bl, bl
        jz      .up
        neg     bp
.up:    push    es
        pop     ds
        mov     cx, ax                  ; CH lines move, CL lines are blank
        mov     al, cl
        cbw
        imul    bp                      ; AX = distance of source and destination
        mov     dx, ax
        jmp     .test
.move:  push    cx
        push    si
        push    di
        mov     cx, si
        mov     si, di
        add     si, dx
        rep movsw
        pop     di
        pop     si
        pop     cx
        add     di, bp
        dec     ch
.test:  test    ch, ch
        jnz     .move
        mov     ah, bh
        mov     al, ' '
.blank: push    cx
        push    di
        mov     cx, si
        rep stosw
        pop     di
        pop     cx
        add     di, bp
        dec     cl
        jnz     .blank
        pop     bp
        pop     ds
.ret:   ret

; 08h
cell_read:
        mov     bh, [bp+F_BH]
        call    cursor_of
        call    cell_address
        mov     ax, [es:di]
        mov     [bp+F_AX], ax
        ret

; 09h
cell_write:
        mov     bh, [bp+F_BH]
        call    cursor_of
        call    cell_address
        mov     al, [bp+F_AL]
        mov     ah, [bp+F_BL]
        mov     cx, [bp+F_CX]
        rep stosw
        ret

; 0Ah
cell_write_char:
        mov     bh, [bp+F_BH]
        call    cursor_of
        call    cell_address
        mov     al, [bp+F_AL]
        mov     cx, [bp+F_CX]
        jcxz    .ret
.next:  stosb
        inc     di
        loop    .next
.ret:   ret

; 0Eh
teletype:
        mov     al, [bp+F_AL]
        mov     bh, [V_PAGE]
        mov     ah, 0                   ; the attribute stays
; AL as text at the cursor of page BH, with attribute BL if AH is 1.
put_char:
        call    cursor_of
        cmp     al, 7
        je      bell
        cmp     al, 8
        je      .back
        cmp     al, 10
        je      .feed
        cmp     al, 13
        je      .return
        call    cell_address
        mov     [es:di], al
        test    ah, ah
        jz      .written
        mov     [es:di+1], bl
.written:
        inc     dl
        cmp     dl, [V_COLS]
        jb      .move
        mov     dl, 0
.feed:  inc     dh
        cmp     dh, [V_ROWS]
        jbe     .move
        dec     dh
        cmp     bh, [V_PAGE]
        jne     .move
        push    ax
        push    bx
        push    cx
        push    dx
        mov     dl, 0                   ; new line in the colour at its left edge
        call    cell_address
        mov     bh, [es:di+1]
        mov     bl, 0
        mov     al, 1
        xor     cx, cx
        mov     dl, [V_COLS]
        dec     dl
        push    si
        push    di
        call    scroll_window
        pop     di
        pop     si
        pop     dx
        pop     cx
        pop     bx
        pop     ax
        jmp     .move
.back:  test    dl, dl
        jz      .move
        dec     dl
        jmp     .move
.return:
        mov     dl, 0
.move:  jmp     cursor_move

; 1 kHz, two or three ticks long when interrupts run, a bounded count else.
bell:
        push    ax
        push    ecx
        mov     al, 0xB6
        out     0x43, al
        mov     al, 0xA9
        out     0x42, al
        mov     al, 0x04
        out     0x42, al
        in      al, 0x61
        push    ax
        or      al, 3
        out     0x61, al
        mov     ah, [0x6C]
        mov     ecx, 100000
.wait:  mov     al, [0x6C]
        sub     al, ah
        cmp     al, 3
        jae     .off
        in      al, 0x61
        a32 loop .wait
.off:   pop     ax
        and     al, 0xFC
        out     0x61, al
        pop     ecx
        pop     ax
        ret

; 13h: CX characters at ES:BP; AL bit 0: the cursor follows, bit 1: attributes in the string.
write_string:
        mov     bh, [bp+F_BH]
        call    cursor_of
        push    dx
        mov     dx, [bp+F_DX]
        call    cursor_move
        mov     es, [bp+F_ES]
        mov     si, [bp+F_BP]
        mov     cx, [bp+F_CX]
        jcxz    .end
.next:  mov     al, [es:si]
        inc     si
        mov     bl, [bp+F_BL]
        test    byte [bp+F_AL], 2
        jz      .put
        mov     bl, [es:si]
        inc     si
.put:   mov     ah, 1
        push    es
        push    cx
        call    put_char
        pop     cx
        pop     es
        loop    .next
.end:   pop     dx
        test    byte [bp+F_AL], 1
        jnz     .ret
        call    cursor_move
.ret:   ret
