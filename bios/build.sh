#!/bin/sh
# Builds both ROM images from src/ with nasm, bit for bit the same everywhere.
# Usage: bios/build.sh [directory for the images]      default: bios/ itself
# src/dsdt.aml is part of the tree; it changes only with src/dsdt.asl: iasl -p dsdt dsdt.asl
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
command -v nasm > /dev/null || { echo "nasm is missing: apt-get install nasm" >&2; exit 1; }

cd "$here/src"
nasm -f bin -w+error -o "$out/emu86-vgabios.bin" vgabios.asm
# An option ROM's bytes add up to 0 modulo 256: the last byte, assembled as 0, makes it so.
sum=$(od -An -v -tu1 "$out/emu86-vgabios.bin" | awk '{ for (i = 1; i <= NF; i++) s += $i } END { print (256 - s % 256) % 256 }')
printf "\\$(printf '%03o' "$sum")" | dd of="$out/emu86-vgabios.bin" bs=1 seek=32767 conv=notrunc 2> /dev/null
nasm -f bin -w+error -I "$out/" -o "$out/emu86-bios.bin" bios.asm
