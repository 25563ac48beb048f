; Text for the developer: ports 402h and E9h; and for the user: the screen.

; A character in AL to the debug ports.
debug_char:
        push    dx
        mov     dx, DEBUG_PORT
        out     dx, al
        out     E9_PORT, al
        pop     dx
        ret

; A zero-terminated text of this segment at SI, to screen and debug ports.
print:
        pusha
.next:  mov     al, [cs:si]
        inc     si
        test    al, al
        jz      .done
        call    print_char
        jmp     .next
.done:  popa
        ret

print_char:
        cmp     al, 10
        jne     .plain
        push    ax
        mov     al, 13
        call    screen_char             ; the screen needs a carriage return, the debug ports do not
        pop     ax
.plain: call    debug_char
screen_char:
        pusha
        mov     ah, 0x0E
        mov     bx, 7
        int     0x10
        popa
        ret

; The same text to COM1: who has no screen must see why nothing starts.
print_com1:
        pusha
        xor     dx, dx
.next:  mov     al, [cs:si]
        inc     si
        test    al, al
        jz      .done
        cmp     al, 10
        jne     .send
        mov     ax, 0x010D
        int     0x14
        mov     al, 10
.send:  mov     ah, 1
        int     0x14
        jmp     .next
.done:  popa
        ret

; EAX in decimal.
print_dec:
        pushad
        xor     cx, cx
        mov     ebx, 10
.div:   xor     edx, edx
        div     ebx
        push    dx
        inc     cx
        test    eax, eax
        jnz     .div
.out:   pop     ax
        add     al, '0'
        call    print_char
        loop    .out
        popad
        ret
