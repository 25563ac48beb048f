; INT 14h: 16550A serial ports, bytes by polling (IBM PC/AT reference; National 16550 data sheet).

; POST: find the UARTs and list them in the BIOS data area. DS = BDA.
serial_init:
        xor     bx, bx                  ; ports found, times 2
        mov     si, serial_bases
.next:  mov     dx, [cs:si]
        test    dx, dx
        jz      .done
        inc     si
        inc     si
        push    dx
        inc     dx
        mov     al, 2                   ; IER keeps four bits, the upper four read as zero
        out     dx, al
        in      al, dx
        xchg    al, ah
        mov     al, 0
        out     dx, al
        pop     dx
        cmp     ah, 2
        jne     .next
        mov     [bx+B_COM], dx
        push    dx                      ; 115200 8N1: a UART comes out of reset with five data bits, and small
        add     dx, 3                   ; systems write text without setting it up
        mov     al, 0x83
        out     dx, al
        sub     dx, 3
        mov     al, 1
        out     dx, al
        inc     dx
        mov     al, 0
        out     dx, al
        add     dx, 2
        mov     al, 3
        out     dx, al
        pop     dx
        push    bx
        shr     bx, 1
        mov     byte [bx+B_COMTIMEOUT], 10
        pop     bx
        inc     bx
        inc     bx
        jmp     .next
.done:  shl     bx, 8                   ; equipment bits 9-11: serial ports
        or      [B_EQUIP], bx
        ret
serial_bases:   dw 0x3F8, 0x2F8, 0x3E8, 0x2E8, 0

int14:
        ENTER_SERVICE
        sti
        movzx   bx, byte [bp+F_DL]
        cmp     bx, 4
        jae     .leave
        add     bx, bx
        mov     dx, [bx+B_COM]
        test    dx, dx
        jz      .leave
        mov     al, [bp+F_AH]
        cmp     al, 0
        je      .init
        cmp     al, 1
        je      .send
        cmp     al, 2
        je      .receive
        cmp     al, 3
        jne     .leave
.status:
        add     dx, 5
        in      al, dx
        mov     [bp+F_AH], al
        inc     dx
        in      al, dx
        mov     [bp+F_AL], al
.leave: LEAVE_SERVICE

.init:  push    dx
        movzx   bx, byte [bp+F_AL]
        shr     bx, 5                   ; bits 7-5: 110 150 300 600 1200 2400 4800 9600
        add     bx, bx
        mov     cx, [cs:bx+.divisors]
        add     dx, 3
        mov     al, 0x80
        out     dx, al
        sub     dx, 2
        mov     al, ch
        out     dx, al
        dec     dx
        mov     al, cl
        out     dx, al
        add     dx, 3
        mov     al, [bp+F_AL]
        and     al, 0x1F                ; word length, stop bits, parity sit as in the LCR
        out     dx, al
        inc     dx
        mov     al, 3                   ; DTR, RTS
        out     dx, al
        pop     dx
        push    dx
        inc     dx
        mov     al, 0
        out     dx, al
        pop     dx
        jmp     .status

.divisors: dw   1047, 768, 384, 192, 96, 48, 24, 12

.send:  mov     bl, 0x20                ; LSR: holding register empty
        call    .wait
        jz      .timeout
        push    ax
        mov     al, [bp+F_AL]
        out     dx, al
        pop     ax
        and     al, 0x7F
        mov     [bp+F_AH], al
        jmp     .leave

.receive:
        mov     bl, 1                   ; LSR: data ready
        call    .wait
        jz      .timeout
        and     al, 0x1E                ; only errors are shown
        mov     [bp+F_AH], al
        in      al, dx
        mov     [bp+F_AL], al
        jmp     .leave
.timeout:
        or      al, 0x80
        mov     [bp+F_AH], al
        jmp     .leave

; Waits, about half a second by the tick count, for a bit BL of LSR. ZF set: it never came. AL = LSR.
.wait:  push    dx
        mov     cx, [B_TICKS]
        add     dx, 5
.poll:  in      al, dx
        test    al, bl
        jnz     .got
        mov     ah, [B_TICKS]
        sub     ah, cl
        cmp     ah, 10
        jb      .poll
        cmp     al, al                  ; ZF set
.got:   pop     dx
        ret
