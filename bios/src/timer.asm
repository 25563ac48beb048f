; The tick and the clock: INT 08h, 1Ah, 1Ch, 70h (8254 and MC146818 data sheets).

TICKS_PER_DAY   equ 0x1800B0

; POST: channel 0, mode 3, 65536 input ticks: 18.2 per second. Tick count from the clock. DS = BDA.
timer_init:
        mov     al, 0x36
        out     0x43, al
        xor     al, al
        out     0x40, al
        out     0x40, al
        mov     ax, 0x260A              ; register A: 32.768 kHz divider on, 1024 Hz periodic rate
        call    cmos_write
        mov     ax, 0x020B              ; register B: 24 hours, BCD, no interrupts
        call    cmos_write
        mov     al, 0x0C                ; drops what is pending
        call    cmos_read
        call    rtc_stable
        mov     al, 4
        call    cmos_bcd
        imul    edx, eax, 60
        mov     al, 2
        call    cmos_bcd
        add     edx, eax
        imul    edx, edx, 60
        mov     al, 0
        call    cmos_bcd
        add     eax, edx                ; seconds since midnight; ticks = s * 1193182 / 65536
        mov     ecx, 1193182
        mul     ecx
        shrd    eax, edx, 16
        mov     [B_TICKS], eax
        ret

; EAX = CMOS byte AL, from BCD.
cmos_bcd:
        push    bx
        call    cmos_read
        mov     bl, al
        shr     al, 4
        mov     ah, 10
        mul     ah
        and     bx, 15
        add     ax, bx
        movzx   eax, ax
        pop     bx
        ret

; Returns when no update is under way. The loop is bounded: a clock that stands still is no reason to hang.
rtc_stable:
        push    ax
        push    cx
        mov     cx, 0xFFFF
.wait:  mov     al, 0x0A
        call    cmos_read
        test    al, 0x80
        loopnz  .wait
        pop     cx
        pop     ax
        ret

; One step of a polling loop that must end whatever the processor's speed. ECX = patience, in units of 15.085 us / 1024
; by the refresh bit of port 61h, a poll itself being one unit, so that it ends without that bit too;
; bit 31 is the refresh bit last seen. CF set: patience is over. Everything else kept.
poll_step:
        push    eax
        in      al, 0x61
        shl     eax, 27                 ; bit 4
        xor     eax, ecx
        jns     .same
        btc     ecx, 31
        sub     ecx, 1023
.same:  dec     ecx
        bt      ecx, 30                 ; below zero
        pop     eax
        ret

int08:
        pushad
        push    ds
        push    es
        push    BDA_SEG
        pop     ds
        cld
        mov     eax, [B_TICKS]
        inc     eax
        cmp     eax, TICKS_PER_DAY
        jb      .same_day
        xor     eax, eax
        mov     byte [B_MIDNIGHT], 1
.same_day:
        mov     [B_TICKS], eax
        int     0x1C
        cli
        mov     al, 0x20
        out     PIC1, al
        pop     es
        pop     ds
        popad
int1c:  iret

; INT 70h: the periodic interrupt counts down INT 15h 83h and 86h, the alarm goes to INT 4Ah.
int70:
        pushad
        push    ds
        push    es
        push    BDA_SEG
        pop     ds
        mov     al, 0x0C
        call    cmos_read
        mov     ah, al
        mov     al, 0x0B
        call    cmos_read
        and     ah, al
        test    ah, 0x40
        jz      .alarm
        test    byte [B_WAITFLAG], 1
        jz      .alarm
        sub     dword [B_WAITCOUNT], 976
        ja      .alarm
        push    ax
        call    wait_stop
        or      byte [B_WAITFLAG], 0x80
        les     di, [B_WAITPTR]
        or      byte [es:di], 0x80
        pop     ax
.alarm: test    ah, 0x20
        jz      .done
        push    ax
        int     0x4A
        cli
        pop     ax
.done:  mov     al, 0x20
        out     PIC2, al
        out     PIC1, al
        pop     es
        pop     ds
        popad
        iret

; The periodic interrupt off. DS = BDA.
wait_stop:
        and     byte [B_WAITFLAG], 0xFE
        mov     al, 0x0B
        call    cmos_read
        and     al, 0xBF
        mov     ah, al
        mov     al, 0x0B
        jmp     cmos_write

; Starts a wait of CX:DX microseconds; the byte at ES:DI gets bit 7. CF set: one is running.
wait_start:
        test    byte [B_WAITFLAG], 1
        stc
        jnz     .ret
        cli
        mov     [B_WAITPTR], di
        mov     [B_WAITPTR+2], es
        mov     [B_WAITCOUNT], dx
        mov     [B_WAITCOUNT+2], cx
        mov     byte [B_WAITFLAG], 1
        in      al, PIC2+1
        and     al, 0xFE
        out     PIC2+1, al
        mov     al, 0x0B
        call    cmos_read
        or      al, 0x40
        mov     ah, al
        mov     al, 0x0B
        call    cmos_write
        mov     al, 0x0C
        call    cmos_read
        sti
        clc
.ret:   ret

int1a:
        cmp     ah, 0xB1
        je      int1a_pci
        ENTER_SERVICE
        sti
        movzx   bx, ah
        cmp     bl, 8
        jae     .bad
        add     bx, bx
        CARRY_CLEAR
        call    [cs:bx+.table]
.leave: LEAVE_SERVICE
.bad:   CARRY_SET
        jmp     .leave
.table: dw .get_ticks, .set_ticks, .get_time, .set_time, .get_date, .set_date, .set_alarm, .no_alarm

.get_ticks:
        cli
        mov     ax, [B_TICKS]
        mov     [bp+F_DX], ax
        mov     ax, [B_TICKS+2]
        mov     [bp+F_CX], ax
        xor     ax, ax
        xchg    al, [B_MIDNIGHT]
        mov     [bp+F_AL], al
        ret
.set_ticks:
        cli
        mov     ax, [bp+F_DX]
        mov     [B_TICKS], ax
        mov     ax, [bp+F_CX]
        mov     [B_TICKS+2], ax
        mov     byte [B_MIDNIGHT], 0
        mov     byte [bp+F_AH], 0
        ret
.get_time:
        call    rtc_stable
        mov     al, 0
        call    cmos_read
        mov     [bp+F_DH], al
        mov     al, 2
        call    cmos_read
        mov     [bp+F_CL], al
        mov     al, 4
        call    cmos_read
        mov     [bp+F_CH], al
        mov     al, 0x0B
        call    cmos_read
        and     al, 1
        mov     [bp+F_DL], al
        mov     byte [bp+F_AH], 0
        ret
.set_time:
        call    .freeze
        mov     ah, [bp+F_DH]
        mov     al, 0
        call    cmos_write
        mov     ah, [bp+F_CL]
        mov     al, 2
        call    cmos_write
        mov     ah, [bp+F_CH]
        mov     al, 4
        call    cmos_write
        mov     al, 0x0B
        call    cmos_read
        and     al, 0x7E
        mov     ah, [bp+F_DL]
        and     ah, 1
        or      ah, al
        mov     al, 0x0B
        call    cmos_write
        mov     byte [bp+F_AH], 0
        ret
.get_date:
        call    rtc_stable
        mov     al, 0x32                ; century
        call    cmos_read
        mov     [bp+F_CH], al
        mov     al, 9
        call    cmos_read
        mov     [bp+F_CL], al
        mov     al, 8
        call    cmos_read
        mov     [bp+F_DH], al
        mov     al, 7
        call    cmos_read
        mov     [bp+F_DL], al
        mov     byte [bp+F_AH], 0
        ret
.set_date:
        call    .freeze
        mov     ah, [bp+F_CH]
        mov     al, 0x32
        call    cmos_write
        mov     ah, [bp+F_CL]
        mov     al, 9
        call    cmos_write
        mov     ah, [bp+F_DH]
        mov     al, 8
        call    cmos_write
        mov     ah, [bp+F_DL]
        mov     al, 7
        call    cmos_write
        mov     al, 0x0B
        call    cmos_read
        and     al, 0x7F
        mov     ah, al
        mov     al, 0x0B
        call    cmos_write
        mov     byte [bp+F_AH], 0
        ret
.set_alarm:
        mov     al, 0x0B
        call    cmos_read
        test    al, 0x20
        jnz     .alarm_runs
        call    rtc_stable
        mov     ah, [bp+F_DH]
        mov     al, 1
        call    cmos_write
        mov     ah, [bp+F_CL]
        mov     al, 3
        call    cmos_write
        mov     ah, [bp+F_CH]
        mov     al, 5
        call    cmos_write
        in      al, PIC2+1
        and     al, 0xFE
        out     PIC2+1, al
        mov     al, 0x0B
        call    cmos_read
        or      al, 0x20
        and     al, 0x7F
        mov     ah, al
        mov     al, 0x0B
        jmp     cmos_write
.alarm_runs:
        CARRY_SET
        ret
.no_alarm:
        mov     al, 0x0B
        call    cmos_read
        and     al, 0xDF
        mov     ah, al
        mov     al, 0x0B
        jmp     cmos_write

; Register B bit 7 stops updates while the clock is written.
.freeze:
        mov     al, 0x0B
        call    cmos_read
        or      al, 0x80
        mov     ah, al
        mov     al, 0x0B
        jmp     cmos_write
