#!/bin/sh
# Shows our BIOS on QEMU's PC, the same board as ours.
#   bios/test-qemu.sh                    the services program (test/services.asm): INT 10h-1Ah, PCI BIOS, soft-off
#   bios/test-qemu.sh linux KERNEL INITRD  SYSLINUX loads them from an IDE disk; waits for the kernel to power off
# Needs: nasm qemu-system-x86; for linux also: syslinux mtools fdisk
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() # SECONDS DISK: serial output to $work/serial, true if the guest switched itself off in time
{
    timeout "$1" qemu-system-i386 -M pc -m 128 -bios "$here/emu86-bios.bin" -display none -monitor none \
        -drive file="$2",format=raw,if=ide -netdev user,id=net -device ne2k_pci,netdev=net \
        -serial file:"$work/serial" -debugcon file:"$work/debug" -global isa-debugcon.iobase=0x402
}

case ${1:-services} in
services)
    nasm -f bin -o "$work/disk" "$here/test/services.asm"
    run 60 "$work/disk" || { cat "$work/debug"; echo "the guest did not switch itself off" >&2; exit 1; }
    cat "$work/serial"
    grep -q '^services: 0 failed' "$work/serial"
    ;;
linux)
    [ $# = 3 ] || { echo "usage: bios/test-qemu.sh linux KERNEL INITRD" >&2; exit 2; }
    truncate -s 128M "$work/disk"
    printf '63,,e,*\n' | sfdisk -q "$work/disk"
    part=$work/disk@@32256
    mformat -i "$part" -h 255 -s 63 -H 63 -T 262081 ::
    printf 'DEFAULT l\nPROMPT 0\nLABEL l\n KERNEL kernel\n APPEND initrd=initrd console=ttyS0 panic=1\n' > "$work/cfg"
    mcopy -i "$part" "$2" ::kernel
    mcopy -i "$part" "$3" ::initrd
    mcopy -i "$part" "$work/cfg" ::syslinux.cfg
    syslinux -i -t 32256 "$work/disk"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$work/disk" conv=notrunc bs=440 count=1 2> /dev/null
    run 180 "$work/disk" || { cat "$work/debug" "$work/serial"; echo "the guest did not switch itself off" >&2; exit 1; }
    cat "$work/serial"
    ! grep -i 'acpi.*error\|firmware bug' "$work/serial"
    ;;
*)
    echo "usage: bios/test-qemu.sh [services | linux KERNEL INITRD]" >&2
    exit 2
    ;;
esac
