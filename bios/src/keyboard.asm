; Keyboard: i8042 bring-up, INT 09h, INT 16h (IBM PC/AT reference, section 4; PS/2 keyboard set 1 by translation).

KBD_PATIENCE    equ 0x2000000           ; half a second, see poll_step

; Waits until the controller takes a byte. CF set: it never did.
kbd_wait_in:
        push    ax
        push    ecx
        mov     ecx, KBD_PATIENCE
.poll:  in      al, KBD_CMD
        test    al, 2
        jz      .ok
        call    poll_step
        jnc     .poll
        jmp     .out
.ok:    clc
.out:   pop     ecx
        pop     ax
        ret

; AL = next byte from the controller. CF set: none came.
kbd_read:
        push    ecx
        mov     ecx, KBD_PATIENCE
.poll:  in      al, KBD_CMD
        test    al, 1
        jnz     .ok
        call    poll_step
        jnc     .poll
        pop     ecx
        ret
.ok:    in      al, KBD_DATA
        pop     ecx
        clc
        ret

; Command AL to the controller.
kbd_command:
        call    kbd_wait_in
        jc      .ret
        out     KBD_CMD, al
.ret:   ret

; Byte AL to the keyboard, its answer in AL. CF set: none.
kbd_send:
        call    kbd_wait_in
        jc      .ret
        out     KBD_DATA, al
        call    kbd_read
.ret:   ret

; POST: controller self test, keyboard reset, translation and interrupt on. DS = BDA.
keyboard_init:
        mov     ax, B_KBBUF
        mov     [B_KBHEAD], ax
        mov     [B_KBTAIL], ax
        mov     [B_KBSTART], ax
        mov     word [B_KBEND], B_KBBUF+32
        mov     byte [B_KBFLAGS3], 0x10
        in      al, KBD_CMD
        cmp     al, 0xFF                ; nothing drives the bus
        je      .none
        mov     cx, 16
.drain: in      al, KBD_CMD
        test    al, 1
        jz      .empty
        in      al, KBD_DATA
        loop    .drain
.empty: mov     al, 0xAA
        call    kbd_command
        call    kbd_read
        jc      .none
        mov     al, 0xAD                ; keyboard off until the command byte stands
        call    kbd_command
        mov     al, 0x60
        call    kbd_command
        call    kbd_wait_in
        mov     al, 0x30                ; no interrupts, no translation: to read FA, AA as they are
        out     KBD_DATA, al
        mov     al, 0xAE
        call    kbd_command
        mov     al, 0xFF
        call    kbd_send                ; FA
        jc      .program
        call    kbd_read                ; AA
        mov     al, 0xF4
        call    kbd_send
.program:
        mov     al, 0x60
        call    kbd_command
        call    kbd_wait_in
        mov     al, 0x65                ; translate, mouse off, system flag, keyboard interrupt
        out     KBD_DATA, al
        ret
.none:  mov     si, .text
        jmp     print
.text:  db      "No keyboard controller.", 10, 0

; Appends AX to the buffer; CF set: full. DS = BDA.
kbd_store:
        push    bx
        push    si
        mov     bx, [B_KBTAIL]
        mov     si, bx
        inc     bx
        inc     bx
        cmp     bx, [B_KBEND]
        jb      .in
        mov     bx, [B_KBSTART]
.in:    cmp     bx, [B_KBHEAD]
        stc
        je      .full
        mov     [si], ax
        mov     [B_KBTAIL], bx
        clc
.full:  pop     si
        pop     bx
        ret

int09:
        ENTER_SERVICE
        in      al, KBD_DATA
        mov     ah, 0x4F                ; the keyboard intercept may change or drop the code
        stc
        int     0x15
        cli
        jnc     .eoi
        call    kbd_code
.eoi:   mov     al, 0x20
        out     PIC1, al
        LEAVE_SERVICE

; One scan code AL. DS = BDA. DL = prefix (2: E0, 1: E1, 0: none), consumed here.
kbd_code:
        cmp     al, 0xE0
        jne     .not_e0
        or      byte [B_KBFLAGS3], 2
        ret
.not_e0:
        cmp     al, 0xE1
        jne     .not_e1
        or      byte [B_KBFLAGS3], 1
        ret
.not_e1:
        mov     dl, [B_KBFLAGS3]
        and     dl, 3
        test    dl, 1
        jz      .plain
        mov     ah, al                  ; Pause is E1 1D 45 E1 9D C5: swallowed
        and     ah, 0x7F
        cmp     ah, 0x45
        jne     .keep_e1
        and     byte [B_KBFLAGS3], 0xFE
.keep_e1:
        ret
.plain: and     byte [B_KBFLAGS3], 0xFC
        mov     ah, al
        and     ah, 0x7F
        mov     si, kbd_modifiers
.search:
        cmp     byte [cs:si], 0
        je      .ordinary
        cmp     ah, [cs:si]
        je      .modifier
        add     si, 4
        jmp     .search

; rows: code, action, bit in 17h, bit in 18h
.modifier:
        mov     cx, [cs:si+2]           ; CL = mask for 17h, CH = mask for 18h
        cmp     byte [cs:si+1], 1
        je      .toggle
        ja      .sided
        test    dl, 2                   ; E0 2A, E0 36: fake shifts around grey keys
        jnz     .done
        test    al, 0x80
        jnz     .shift_up
        or      [B_SHIFT], cl
        ret
.shift_up:
        not     cl
        and     [B_SHIFT], cl
.done:  ret

.sided: ; Ctrl and Alt: left in 18h, right (E0) in 96h bits 2, 3; 17h shows either
        test    al, 0x80
        jnz     .sided_up
        or      [B_SHIFT], cl
        test    dl, 2
        jnz     .right_down
        or      [B_SHIFT2], ch
        ret
.right_down:
        or      [B_KBFLAGS3], cl        ; 4 and 8: the same bits
        ret
.sided_up:
        test    dl, 2
        jnz     .right_up
        not     ch
        and     [B_SHIFT2], ch
        not     ch
        jmp     .either
.right_up:
        not     cl
        and     [B_KBFLAGS3], cl
        not     cl
.either:
        test    [B_SHIFT2], ch
        jnz     .done
        test    [B_KBFLAGS3], cl
        jnz     .done
        not     cl
        and     [B_SHIFT], cl
        cmp     ah, 0x38                ; Alt released: the number typed on the keypad
        jne     .done
        xor     ax, ax
        xchg    al, [B_ALTNUM]
        test    al, al
        jz      .done
        jmp     kbd_store

.toggle:
        test    dl, 2                   ; E0 45 does not exist, E0 46 is Break, E0 52 is the grey Insert
        jz      .toggle_plain
        cmp     ah, 0x46
        je      .break
        cmp     ah, 0x52
        jne     .done
.toggle_plain:
        test    al, 0x80
        jnz     .toggle_up
        cmp     ah, 0x52
        jne     .lock
        test    dl, 2
        jnz     .lock
        mov     bl, [B_SHIFT]           ; keypad 0, unless it means Insert
        test    bl, 8
        jnz     .ordinary
        and     bl, 0x23
        jz      .lock
        cmp     bl, 0x20
        jbe     .numlock_alone
        jmp     .lock                   ; NumLock and Shift: Insert
.numlock_alone:
        jmp     .ordinary
.lock:  test    [B_SHIFT2], ch          ; typematic repeats do not toggle
        jnz     .repeat
        or      [B_SHIFT2], ch
        xor     [B_SHIFT], cl
.repeat:
        cmp     ah, 0x52
        je      .ordinary
        ret
.toggle_up:
        not     ch
        and     [B_SHIFT2], ch
        ret

.break: test    al, 0x80
        jnz     .done
        mov     ax, [B_KBSTART]
        mov     [B_KBHEAD], ax
        mov     [B_KBTAIL], ax
        mov     byte [B_BREAK], 0x80
        int     0x1B
        xor     ax, ax
        jmp     kbd_store

.ordinary:
        test    al, 0x80
        jnz     .done
        mov     bl, [B_SHIFT]
        cmp     al, 0x53                ; Ctrl+Alt+Del
        jne     .no_reset
        mov     bh, bl
        and     bh, 0x0C
        cmp     bh, 0x0C
        jne     .no_reset
        mov     word [B_WARM], 0x1234
        jmp     reset
.no_reset:
        test    dl, 2
        jz      .grey_done
        cmp     al, 0x37
        jne     .grey_done
        int     5                       ; Print Screen
        ret
.grey_done:
        cmp     al, 0x58
        ja      .done
        movzx   si, al
        shl     si, 3
        add     si, keymap-8            ; rows of four words from code 1
        mov     cx, 0                   ; column
        test    bl, 8
        jnz     .alt
        test    bl, 4
        jnz     .ctrl
        test    dl, 2
        jnz     .column                 ; grey keys know no shift
        cmp     al, 0x47
        jb      .main
        cmp     al, 0x53
        ja      .main
        test    bl, 0x20                ; keypad: NumLock exchanges the columns
        jz      .main
        xor     cx, 2
.main:  test    bl, 3
        jz      .caps
        xor     cx, 2
.caps:  test    bl, 0x40
        jz      .column
        mov     di, [cs:si]             ; CapsLock concerns letters
        and     di, 0xFF
        sub     di, 'a'
        cmp     di, 26
        jae     .column
        xor     cx, 2
        jmp     .column
.ctrl:  mov     cx, 4
        jmp     .column
.alt:   mov     cx, 6
        cmp     al, 0x47
        jb      .column
        cmp     al, 0x52
        ja      .column
        test    dl, 2
        jnz     .column
        movzx   di, al
        mov     ah, [cs:di+.keypad-0x47]
        cmp     ah, 10
        jae     .column
        xchg    al, ah
        mov     ah, [B_ALTNUM]
        xchg    al, ah
        push    dx
        mov     dl, ah
        mov     ah, 10
        mul     ah
        add     al, dl
        pop     dx
        mov     [B_ALTNUM], al
        ret
.keypad: db     7, 8, 9, 99, 4, 5, 6, 99, 1, 2, 3, 0
.column:
        add     si, cx
        mov     bx, [cs:si]
        test    dl, 2
        jz      .put
        mov     si, kbd_grey            ; grey keys have codes of their own
.grey:  cmp     byte [cs:si], 0
        je      .put
        cmp     al, [cs:si]
        je      .grey_found
        add     si, 9
        jmp     .grey
.grey_found:
        add     si, cx
        mov     bx, [cs:si+1]
.put:   mov     ax, bx
        test    ax, ax
        jz      .no_key
        jmp     kbd_store
.no_key:
        ret

kbd_modifiers:  ; code, action (0 shift, 1 toggle, 2 sided), mask in 17h, mask in 18h
        db      0x2A, 0, 0x02, 0x00     ; left shift
        db      0x36, 0, 0x01, 0x00     ; right shift
        db      0x1D, 2, 0x04, 0x01     ; control
        db      0x38, 2, 0x08, 0x02     ; alt
        db      0x46, 1, 0x10, 0x10     ; scroll lock
        db      0x45, 1, 0x20, 0x20     ; num lock
        db      0x3A, 1, 0x40, 0x40     ; caps lock
        db      0x52, 1, 0x80, 0x80     ; insert
        db      0

; INT 16h. 00h-02h show the 84-key set, 10h-12h the whole of it.
int16:
        ENTER_SERVICE
        sti
        mov     al, [bp+F_AH]
        mov     dl, al
        and     dl, 0x10                ; DL: enhanced
        cmp     al, 0x12
        ja      .leave
        je      .flags
        cmp     al, 0x11
        je      .peek
        cmp     al, 0x10
        je      .get
        cmp     al, 0
        je      .get
        cmp     al, 1
        je      .peek
        cmp     al, 2
        je      .flags
        cmp     al, 3
        je      .typematic
        cmp     al, 5
        je      .store
.leave: LEAVE_SERVICE

.get:   cli
        call    kbd_front
        jnz     .got
        sti
        hlt
        jmp     .get
.got:   mov     [bp+F_AX], ax
        call    kbd_drop
        jmp     .leave
.peek:  cli
        call    kbd_front
        jnz     .there
        or      byte [bp+F_FLAGS], 0x40
        jmp     .leave
.there: mov     [bp+F_AX], ax
        and     byte [bp+F_FLAGS], 0xBF
        jmp     .leave
.flags: mov     al, [B_SHIFT]
        mov     [bp+F_AL], al
        test    dl, dl
        jz      .leave
        mov     al, [B_SHIFT2]
        mov     ah, al
        and     al, 0x73
        shl     ah, 5
        and     ah, 0x80
        or      al, ah
        mov     ah, [B_KBFLAGS3]
        and     ah, 0x0C
        or      al, ah
        mov     [bp+F_AH], al
        jmp     .leave
.typematic:
        cmp     byte [bp+F_AL], 5
        jne     .leave
        cli
        mov     al, 0xF3
        call    kbd_send
        mov     al, [bp+F_BH]
        and     al, 3
        shl     al, 5
        mov     ah, [bp+F_BL]
        and     ah, 0x1F
        or      al, ah
        call    kbd_send
        jmp     .leave
.store: cli
        mov     ax, [bp+F_CX]
        call    kbd_store
        setc    [bp+F_AL]
        jmp     .leave

; AX = first key as the caller's set shows it (DL = 0: keys it does not know are dropped). ZF set: none.
kbd_front:
        mov     bx, [B_KBHEAD]
        cmp     bx, [B_KBTAIL]
        je      .none
        mov     ax, [bx]
        test    dl, dl
        jnz     .some
        cmp     ah, 0xE0                ; keypad Enter and slash
        jne     .not_keypad
        mov     ah, 0x1C
        cmp     al, '/'
        jne     .some
        mov     ah, 0x35
        jmp     .some
.not_keypad:
        cmp     al, 0xE0
        jne     .plain
        test    ah, ah
        jz      .some                   ; a character, not a prefix
        mov     al, 0
.plain: cmp     ah, 0x85                ; F11 and above
        jb      .some
        call    kbd_drop
        jmp     kbd_front
.some:  or      bx, bx                  ; ZF clear
.none:  ret

kbd_drop:
        mov     bx, [B_KBHEAD]
        inc     bx
        inc     bx
        cmp     bx, [B_KBEND]
        jb      .in
        mov     bx, [B_KBSTART]
.in:    mov     [B_KBHEAD], bx
        ret

; The machine starts over: the controller's reset line, then port 92h.
reset:
        mov     al, 0xFE
        out     KBD_CMD, al
        in      al, PORT92
        or      al, 1
        out     PORT92, al
        cli
.halt:  hlt
        jmp     .halt
