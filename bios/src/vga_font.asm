; Fonts 8x8, 8x14, 8x16, and INT 10h, AH = 11h. All three come from one drawing, font.inc.

; Plane 2 open for the processor at A0000h, and back to text.
font_open:
        mov     si, .registers
        jmp     font_registers
.registers:
        dw      0x3C4, 0x0402, 0x3C4, 0x0704, 0x3CE, 0x0204, 0x3CE, 0x0005, 0x3CE, 0x0406, 0
font_close:
        mov     si, .registers
        call    font_registers
        mov     ax, 0x0E06
        cmp     byte [V_MODE], 7
        jne     .colour
        mov     ah, 0x0A
.colour:
        out     dx, ax
        ret
.registers:
        dw      0x3C4, 0x0302, 0x3C4, 0x0304, 0x3CE, 0x0004, 0x3CE, 0x1005, 0
font_registers:
        mov     dx, [cs:si]
        test    dx, dx
        jz      .last
        mov     ax, [cs:si+2]
        out     dx, ax
        add     si, 4
        jmp     font_registers
.last:  mov     dx, 0x3CE
        ret

; A whole font of this ROM at SI, BX lines per character, into block 0.
font_load_rom:
        push    cs
        pop     es
        mov     cx, 256
        xor     dx, dx
        mov     al, 0
; CX characters from DX on, at ES:SI, BX lines each, into block AL.
font_load:
        push    ds
        push    si
        push    dx
        push    ax
        call    font_open
        pop     ax
        pop     dx
        pop     si
        mov     ah, al                  ; block n at n*16 KiB, 4-7 between them
        and     ax, 0x0403
        shl     al, 6
        shl     ah, 3
        add     ah, al
        mov     al, 0
        mov     di, dx
        shl     di, 5
        add     di, ax
        push    es
        pop     ds
        push    0xA000
        pop     es
        jcxz    .loaded
.char:  push    cx
        mov     cx, bx
        rep movsb
        mov     cx, 32
        sub     cx, bx
        mov     al, 0
        rep stosb
        pop     cx
        loop    .char
.loaded:
        pop     ds
        jmp     font_close

; Rows, cursor and CRTC for characters of BX lines in 400 lines.
font_resize:
        mov     [V_HEIGHT], bx
        mov     dx, [V_CRTC]
        mov     al, 9
        out     dx, al
        inc     dx
        in      al, dx
        and     al, 0xE0
        dec     bx
        or      al, bl
        inc     bx
        out     dx, al
        mov     ax, 400
        div     bl                      ; AL = rows
        mov     cl, al
        dec     al
        mov     [V_ROWS], al
        mov     al, cl                  ; last displayed line
        mul     bl
        dec     ax
        mov     ah, al
        mov     al, 0x12
        call    crtc_write
        mov     al, cl
        mul     byte [V_COLS]
        add     ax, ax
        add     ax, 0xFF                ; page size in multiples of 256
        mov     al, 0
        mov     [V_PAGESIZE], ax
        mov     cx, [V_SHAPE]
        jmp     cursor_shape_cx

font_service:
        mov     al, [bp+F_AL]
        cmp     al, 0x30
        je      .info
        cmp     al, 0x03
        je      .blocks
        cmp     al, 0x20
        jae     .graphics
        mov     ah, al
        and     al, 0x0F
        cmp     al, 0
        je      .user
        mov     bx, 14
        mov     si, font14
        cmp     al, 1
        je      .rom
        mov     bx, 8
        mov     si, font8
        cmp     al, 2
        je      .rom
        mov     bx, 16
        mov     si, font16
        cmp     al, 4
        je      .rom
        ret
.rom:   push    ax
        push    bx
        push    cs
        pop     es
        mov     cx, 256
        xor     dx, dx
        mov     al, [bp+F_BL]
        call    font_load
        jmp     .size
.user:  push    ax
        movzx   bx, byte [bp+F_BH]
        cmp     bx, 32
        ja      .too_high
        test    bx, bx
        jz      .too_high
        push    bx
        mov     es, [bp+F_ES]
        mov     si, [bp+F_BP]
        mov     cx, [bp+F_CX]
        mov     dx, [bp+F_DX]
        mov     al, [bp+F_BL]
        call    font_load
.size:  pop     bx
        pop     ax
        test    ah, 0x10
        jnz     font_resize
        ret
.too_high:
        pop     ax
        ret
.blocks:
        mov     dx, 0x3C4
        mov     ah, [bp+F_BL]
        mov     al, 3
        out     dx, ax
        ret
.graphics:                              ; fonts for graphics modes are only pointers
        xor     bx, bx
        mov     es, bx
        mov     ax, [bp+F_BP]
        mov     cx, [bp+F_ES]
        mov     bx, 0x1F*4
        cmp     byte [bp+F_AL], 0x20
        je      .pointer
        mov     bx, 0x43*4
        cmp     byte [bp+F_AL], 0x21
        je      .pointer
        mov     cx, cs
        mov     ax, font14
        cmp     byte [bp+F_AL], 0x22
        je      .pointer
        mov     ax, font8
        cmp     byte [bp+F_AL], 0x23
        je      .pointer
        mov     ax, font16
        cmp     byte [bp+F_AL], 0x24
        je      .pointer
        ret
.pointer:
        mov     [es:bx], ax
        mov     [es:bx+2], cx
        ret
.info:  movzx   bx, byte [bp+F_BH]
        cmp     bx, 7
        ja      .ret
        mov     ax, [V_HEIGHT]
        mov     [bp+F_CX], ax
        mov     al, [V_ROWS]
        mov     [bp+F_DL], al
        cmp     bx, 1
        jbe     .vector
        add     bx, bx
        mov     ax, [cs:bx+.fonts-4]
        mov     [bp+F_BP], ax
        mov     [bp+F_ES], cs
.ret:   ret
.vector:                                ; 0: INT 1Fh, 1: INT 43h
        xor     ax, ax
        mov     es, ax
        mov     di, 0x1F*4
        cmp     bx, 0
        je      .read
        mov     di, 0x43*4
.read:  mov     ax, [es:di]
        mov     [bp+F_BP], ax
        mov     ax, [es:di+2]
        mov     [bp+F_ES], ax
        ret
.fonts: dw      font14, font8, font8+128*8, no_alternates, font16, no_alternates
no_alternates:
        db      0                       ; no glyphs differ for 9 dots

; G draws letters five dots wide, W eight dots wide; eight rows each.
%macro G8 8
        db      (0x%1)<<2,(0x%2)<<2,(0x%3)<<2,(0x%4)<<2,(0x%5)<<2,(0x%6)<<2,(0x%7)<<2,(0x%8)<<2
%endmacro
%macro ROW2 1                           ; strokes two dots wide, rows twice
        db      ((0x%1)<<2)|((0x%1)<<1),((0x%1)<<2)|((0x%1)<<1)
%endmacro
%macro ROW1 1
        db      ((0x%1)<<2)|((0x%1)<<1)
%endmacro
%macro G14 8
        ROW1    %1
        ROW2    %2
        ROW2    %3
        ROW2    %4
        ROW2    %5
        ROW2    %6
        ROW2    %7
        ROW1    %8
%endmacro
%macro G16 8
        ROW2    %1
        ROW2    %2
        ROW2    %3
        ROW2    %4
        ROW2    %5
        ROW2    %6
        ROW2    %7
        ROW2    %8
%endmacro
%macro W8 8
        db      0x%1,0x%2,0x%3,0x%4,0x%5,0x%6,0x%7,0x%8
%endmacro
%macro W14 8
        db      0x%1,0x%2,0x%2,0x%3,0x%3,0x%4,0x%4,0x%5,0x%5,0x%6,0x%6,0x%7,0x%7,0x%8
%endmacro
%macro W16 8
        db      0x%1,0x%1,0x%2,0x%2,0x%3,0x%3,0x%4,0x%4,0x%5,0x%5,0x%6,0x%6,0x%7,0x%7,0x%8,0x%8
%endmacro

%define G G8
%define W W8
font8:
%include "font.inc"
%define G G14
%define W W14
font14:
%include "font.inc"
%define G G16
%define W W16
font16:
%include "font.inc"
        times   (font16 - font14 - 256*14) db 0         ; negative if a glyph is missing
        times   (256*14 - (font16 - font14)) db 0
