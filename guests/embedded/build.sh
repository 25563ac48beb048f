#!/bin/bash
# Builds the embedded guest. Usage: build.sh [OUTPUT]; without OUTPUT the image in the tree is replaced, and
# emu86-guest.tools records which tools made it: with the same ones the result is the same, byte for byte.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")"
output=${1:-emu86-guest.elf}
for tool in gcc as ld; do command -v $tool >/dev/null || { echo "build.sh: $tool is missing: apt-get install gcc" >&2; exit 1; }; done
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
ld -m elf_i386 -T link.ld --build-id=none -z noexecstack --no-warn-rwx-segments -s -o "$work/guest.elf" "${objects[@]}"
cp "$work/guest.elf" "$output"
chmod 644 "$output"
if [ $# = 0 ]; then { gcc --version | head -1; as --version | head -1; ld --version | head -1; } > emu86-guest.tools; fi
