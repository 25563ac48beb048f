#!/bin/bash
# Fetches other people's systems from Debian's packages into out/, unmodified: memtest86.bin, ipxe.lkrn, seabios.bin,
# vmlinuz-pae, and grub.img, a disk with GRUB and that kernel. Needs guests/linux/build.sh to have run (its initrd);
# the first time a package mirror, and root if a tool is missing. Does nothing when nothing changed.
# Usage: build.sh [--force]
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
out=$here/out packages=$here/out/packages work=$here/out/work initrd=$here/../linux/out/initrd.gz

say() { echo "build.sh: $*"; }
die() { echo "build.sh: $*" >&2; exit 1; }

[ -s "$initrd" ] || die "run guests/linux/build.sh first: the GRUB disk takes its initrd"
[ "${1:-}" = --force ] && rm -f "$out/stamp"
stamp=$(cat "$0" "$initrd" | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "out/ is up to date"
    exit 0
fi
mkdir -p "$packages"
exec 9> "$out/lock"
flock 9 2>/dev/null || true       # two builds at once take turns

updated=
update() {
    [ "$updated" ] && return
    updated=yes
    say "reading the package lists"
    apt-get update -qq >/dev/null 2>&1 || say "some package lists could not be read, going on with what is there"
}

need() {    # COMMAND PACKAGE
    if command -v "$1" >/dev/null; then return; fi
    [ "$(id -u)" = 0 ] || die "$1 is missing: run this as root once, or install the package $2"
    say "installing $2"
    apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 || { update; apt-get install -y -qq --no-install-recommends "$2" >/dev/null || die "cannot install $2"; }
}

fetch() {    # NAME: brings packages/NAME_*.deb
    if compgen -G "$packages/${1%:*}_*.deb" >/dev/null; then return; fi
    say "fetching $1"
    (cd "$packages" && apt-get -o APT::Sandbox::User=root download -qq "$1" >/dev/null 2>&1) || {
        update
        (cd "$packages" && apt-get -o APT::Sandbox::User=root download -qq "$1") || die "cannot fetch the package $1 from the Debian mirror that apt is set up with"
    }
}

command -v apt-get >/dev/null || die "this is not a Debian system (no apt-get)"
need mke2fs e2fsprogs
need sfdisk fdisk
need grub-mkimage grub-common
pae() { (cd "$packages" && ls linux-image-6.1.*-686-pae_*.deb 2>/dev/null | sort -V | tail -1 | sed 's/_.*//') || true; }
if [ -z "$(pae)" ]; then
    newest() { apt-cache depends linux-image-686-pae:i386 2>/dev/null | sed -n 's/.*Depends: \(linux-image-6\.1\.[^: ]*-686-pae\).*/\1/p' | sort -V | tail -1 || true; }
    kernel=$(newest)
    [ "$kernel" ] || { update; kernel=$(newest); }
    [ "$kernel" ] || die "apt knows no linux-image-686-pae:i386; guests/linux/build.sh adds the i386 architecture"
    fetch "$kernel:i386"
fi
for package in memtest86+ ipxe seabios grub-pc-bin; do fetch "$package"; done

rm -rf "$work"
mkdir -p "$work/tree" "$work/files/boot"
for package in memtest86+ ipxe seabios grub-pc-bin; do dpkg-deb -x "$(ls "$packages/${package}"_*.deb | sort -V | tail -1)" "$work/tree"; done
dpkg-deb --fsys-tarfile "$packages/$(pae)"_*.deb | tar -x -C "$work/tree" --wildcards './boot/vmlinuz-*'
cp "$work/tree/boot/memtest86+ia32.bin" "$work/memtest86.bin"
cp "$work/tree/boot/ipxe.lkrn" "$work/tree/usr/share/seabios/bios.bin" "$work"
mv "$work/bios.bin" "$work/seabios.bin"
cp "$work"/tree/boot/vmlinuz-*-686-pae "$work/vmlinuz-pae"

# The disk as grub-install would leave it, made without root: boot.img in sector 0, core.img behind it, which is where
# boot.img expects it; ext2 from 1 MiB with the kernel, the initrd and the menu.
say "making grub.img"
image=$work/grub.img modules=$work/tree/usr/lib/grub/i386-pc start=2048 sectors=$((31 * 2048))
truncate -s 32M "$image"
sfdisk -q "$image" <<END
label: dos
label-id: 0x86860002
start=$start, size=$sectors, type=83, bootable
END
grub-mkimage -O i386-pc -d "$modules" -o "$work/core.img" -p '(hd0,msdos1)/boot' biosdisk part_msdos ext2 normal linux echo serial terminal test
[ "$(stat -c %s "$work/core.img")" -lt $(((start - 1) * 512)) ] || die "core.img does not fit before the partition"
dd if="$modules/boot.img" of="$image" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none
cat > "$work/files/boot/grub.cfg" <<'END'
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=2
menuentry "Debian 686-PAE" {
    echo "emu86-grub: loading"
    linux /boot/vmlinuz-pae console=ttyS0,115200 quiet emu86.net=off
    initrd /boot/initrd.gz
}
END
cp "$work/vmlinuz-pae" "$initrd" "$work/files/boot/"
mke2fs -q -t ext2 -m 0 -U 86860000-0000-4000-8000-000000000003 -E "offset=$((start * 512)),root_owner=0:0" -d "$work/files" "$image" $((sectors / 2))k

mv "$work"/{memtest86.bin,ipxe.lkrn,seabios.bin,vmlinuz-pae,grub.img} "$out/"
rm -rf "$work"
echo "$stamp" > "$out/stamp"
say "$(cd "$out" && du -k --apparent-size memtest86.bin ipxe.lkrn seabios.bin vmlinuz-pae grub.img | awk '{ printf "%s %s KiB  ", $2, $1 }')"
