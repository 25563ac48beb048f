; INT 13h for up to four IDE disks, and its way to the CD-ROM (Phoenix EDD 1.1; IBM PC/AT reference). No floppy drives.

int13:
        ENTER_SERVICE
        sti
        mov     al, [bp+F_AH]
        mov     bl, [bp+F_DL]
        cmp     al, 0x01
        je      .status
        cmp     bl, 0x80
        jb      .floppy
        cmp     bl, CD_DRIVE
        jne     .fixed
        push    EBDA_SEG
        pop     ds
        cmp     byte [E_CD+DRV_TYPE], 2
        je      int13_cd
        jmp     .bad
.fixed:
        sub     bl, 0x80
        cmp     bl, [B_DISKCOUNT]
        jae     .bad
        movzx   si, bl
        shl     si, 5                   ; DRV_SIZE
        add     si, E_DRIVES
        push    EBDA_SEG
        pop     ds
        mov     di, .table
.search:
        mov     ah, [cs:di]
        cmp     ah, 0xFF
        je      .bad
        cmp     ah, al
        je      .found
        add     di, 3
        jmp     .search
.found: jmp     [cs:di+1]
.table:
%macro FN 2
        db      %1
        dw      %2
%endmacro
        FN      0x00, .ok               ; reset
        FN      0x02, .chs
        FN      0x03, .chs
        FN      0x04, .chs
        FN      0x08, .parameters
        FN      0x09, .ok               ; set parameters
        FN      0x0C, .ok               ; seek
        FN      0x0D, .ok               ; reset the disk
        FN      0x10, .ok               ; ready?
        FN      0x11, .ok               ; recalibrate
        FN      0x14, .ok               ; diagnose
        FN      0x15, .type
        FN      0x41, .extensions
        FN      0x42, .lba
        FN      0x43, .lba
        FN      0x44, .lba
        FN      0x47, .ok               ; extended seek
        FN      0x48, .drive
        db      0xFF

.floppy:
        cmp     al, 0x00                ; nothing to reset
        je      .ok
        cmp     al, 0x08
        je      .no_floppies
        cmp     al, 0x15
        jne     .bad
        mov     byte [bp+F_AH], 0       ; no such drive
        CARRY_CLEAR
        LEAVE_SERVICE
.no_floppies:
        xor     ax, ax
        mov     [bp+F_BX], ax
        mov     [bp+F_CX], ax
        mov     [bp+F_DX], ax
        mov     [bp+F_AX], ax
        jmp     .ok
.status:
        mov     ah, [B_DISKSTAT]
        mov     [bp+F_AH], ah
        test    ah, ah
        jz      .ok
        CARRY_SET
        LEAVE_SERVICE

.bad:   mov     ah, 0x01
.fail:  CARRY_SET
        jmp     .finish
.ok:    mov     ah, 0
.done:  CARRY_CLEAR
.finish:                                ; AH = status
        push    BDA_SEG
        pop     ds
        mov     [B_DISKSTAT], ah
        mov     [bp+F_AH], ah
        LEAVE_SERVICE

.chs:   sub     al, 2
        mov     [R_OP], al
        movzx   ecx, byte [bp+F_AL]
        test    cx, cx
        jz      .bad
        mov     [R_COUNT], cx
        movzx   ebx, byte [bp+F_CL]
        mov     al, bl
        and     bl, 0x3F
        jz      .no_sector
        cmp     bx, [si+DRV_SPT]
        ja      .no_sector
        dec     bx
        and     ax, 0x00C0
        shl     ax, 2
        mov     al, [bp+F_CH]
        cmp     ax, [si+DRV_CYL]
        jae     .no_sector
        movzx   eax, ax
        movzx   edx, byte [bp+F_DH]
        cmp     dx, [si+DRV_HEADS]
        jae     .no_sector
        movzx   ecx, word [si+DRV_HEADS]
        imul    eax, ecx
        add     eax, edx
        movzx   ecx, word [si+DRV_SPT]
        imul    eax, ecx
        add     eax, ebx
        mov     [R_LBA], eax
        mov     dword [R_LBA+4], 0
        mov     ax, [bp+F_BX]
        mov     [R_OFF], ax
        mov     ax, [bp+F_ES]
        mov     [R_SEG], ax
        call    disk_transfer
        mov     al, [R_DONE]
        mov     [bp+F_AL], al
        jc      .fail
        jmp     .done
.no_sector:
        mov     byte [bp+F_AL], 0
        mov     ah, 0x04
        jmp     .fail

.parameters:
        mov     ax, [si+DRV_CYL]
        dec     ax
        mov     [bp+F_CH], al
        shl     ah, 6
        or      ah, [si+DRV_SPT]
        mov     [bp+F_CL], ah
        mov     al, [si+DRV_HEADS]
        dec     al
        mov     [bp+F_DH], al
        push    BDA_SEG
        pop     ds
        mov     al, [B_DISKCOUNT]
        mov     [bp+F_DL], al
        mov     byte [bp+F_BL], 0
        mov     byte [bp+F_AL], 0
        jmp     .ok

.type:  mov     ax, [si+DRV_CYL]        ; CX:DX = sectors CHS reaches
        mul     word [si+DRV_HEADS]
        push    dx
        push    ax
        pop     eax
        movzx   ecx, word [si+DRV_SPT]
        mul     ecx
        mov     [bp+F_DX], ax
        shr     eax, 16
        mov     [bp+F_CX], ax
        push    BDA_SEG
        pop     ds
        mov     byte [B_DISKSTAT], 0
        mov     byte [bp+F_AH], 3       ; a fixed disk
        CARRY_CLEAR
        LEAVE_SERVICE

.extensions:
        cmp     word [bp+F_BX], 0x55AA
        jne     .bad
        mov     word [bp+F_BX], 0xAA55
        mov     word [bp+F_CX], 1       ; 42h-44h, 47h, 48h
        push    BDA_SEG
        pop     ds
        mov     byte [B_DISKSTAT], 0
        mov     byte [bp+F_AH], 0x21    ; version 1.1
        CARRY_CLEAR
        LEAVE_SERVICE

; Disk address packet at DS:SI: size, 0, count, offset, segment, LBA.
.lba:   sub     al, 0x42
        mov     [R_OP], al
        mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        cmp     byte [es:di], 16
        jb      .bad
        mov     ax, [es:di+2]
        mov     [R_COUNT], ax
        mov     eax, [es:di+4]
        cmp     byte [R_OP], 2
        je      .no_buffer
        cmp     eax, 0xFFFFFFFF         ; 64-bit flat address: EDD 3.0, not offered
        je      .bad
.no_buffer:
        mov     [R_OFF], eax
        mov     eax, [es:di+8]
        mov     [R_LBA], eax
        mov     eax, [es:di+12]
        mov     [R_LBA+4], eax
        call    disk_transfer
        pushf
        mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        mov     bx, [R_DONE]
        mov     [es:di+2], bx
        popf
        jc      .fail
        jmp     .done

; Drive parameters to DS:SI.
.drive: mov     es, [bp+F_DS]
        mov     di, [bp+F_SI]
        cmp     word [es:di], 0x1A
        jb      .bad
        mov     ax, 0x1A
        cmp     word [es:di], 0x1E
        jb      .short
        mov     dword [es:di+0x1A], 0xFFFFFFFF  ; no configuration table
        mov     ax, 0x1E
.short: mov     [es:di], ax
        mov     ax, 0x0002              ; the geometry is valid
        cmp     word [si+DRV_PCYL], 0
        jne     .geometry
        mov     ax, 0
.geometry:
        mov     [es:di+2], ax
        movzx   eax, word [si+DRV_PCYL]
        mov     [es:di+4], eax
        movzx   eax, word [si+DRV_PHEADS]
        mov     [es:di+8], eax
        movzx   eax, word [si+DRV_PSPT]
        mov     [es:di+12], eax
        mov     eax, [si+DRV_TOTAL]
        mov     [es:di+16], eax
        mov     eax, [si+DRV_TOTAL+4]
        mov     [es:di+20], eax
        mov     word [es:di+24], 512
        jmp     .ok
