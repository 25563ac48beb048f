#!/bin/bash
# Builds the embedded guest: emu86-guest.elf for direct boot, emu86-guest.img to boot from as an IDE disk.
# Usage: build.sh [FOLDER]; without FOLDER the images in the tree are replaced, and emu86-guest.tools records
# which tools made them: with the same ones the result is the same, byte for byte.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")"
output=${1:-.}
for tool in gcc as ld objcopy nm strip; do command -v $tool >/dev/null || { echo "build.sh: $tool is missing: apt-get install gcc" >&2; exit 1; }; done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags=(-m32 -march=i386 -mtune=i386 -mgeneral-regs-only -O2 -std=gnu11 -ffreestanding -fno-pic -fno-stack-protector
    -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fcf-protection=none -fno-ident
    -Wall -Wextra -Wshadow -Werror)
objects=()
for source in start.S main.c text.c serial.c screen.c interrupt.c pci.c nic.c ip.c tcp.c http.c disk.c; do
    gcc "${flags[@]}" -c "$source" -o "$work/${source%.*}.o"
    objects+=("$work/${source%.*}.o")
done
ld -m elf_i386 -T link.ld --build-id=none -z noexecstack --no-warn-rwx-segments -o "$work/guest.elf" "${objects[@]}"

# The disk: boot sector, the counter's sector with its mark only, the program; filled up to 64 KiB.
objcopy -O binary "$work/guest.elf" "$work/program"
sectors=$(( ($(stat -c %s "$work/program") + 511) / 512 ))
[ $sectors -le 126 ] || { echo "build.sh: the program is too long for one read by the boot sector" >&2; exit 1; }
as --32 --defsym ProgramSectors=$sectors --defsym ProgramEntry=0x$(nm "$work/guest.elf" | sed -n 's/ T entry$//p') boot.S -o "$work/boot.o"
ld -m elf_i386 -Ttext 0x7C00 --oformat binary -o "$work/boot" "$work/boot.o"
truncate -s 64K "$work/guest.img"
dd if="$work/boot" of="$work/guest.img" conv=notrunc status=none
printf 'Emu86 counter 1' | dd of="$work/guest.img" seek=1 bs=512 conv=notrunc status=none
dd if="$work/program" of="$work/guest.img" seek=2 bs=512 conv=notrunc status=none

strip -s "$work/guest.elf"
cp "$work/guest.elf" "$output/emu86-guest.elf"
cp "$work/guest.img" "$output/emu86-guest.img"
chmod 644 "$output"/emu86-guest.{elf,img}
if [ $# = 0 ]; then { gcc --version | head -1; as --version | head -1; ld --version | head -1; } > emu86-guest.tools; fi
