#!/bin/bash
# Builds the Linux guest from Debian's own i386 packages into out/: vmlinuz, initrd.gz, disk.img.
# Needs Debian 12 (amd64 or i386), gcc and, the first time, a package mirror; run as root then, because it adds the
# i386 architecture and installs the small tools that are missing. Later runs need neither root nor network, and
# do nothing when nothing changed.  Usage: build.sh [--force]
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
out=$here/out packages=$here/out/packages work=$here/out/work
disk_mib=128 boot_start=2048 boot_sectors=40960      # the FAT partition: 20 MiB from 1 MiB; ext4 takes the rest

say() { echo "build.sh: $*"; }
die() { echo "build.sh: $*" >&2; exit 1; }

[ "${1:-}" = --force ] && rm -f "$out/stamp"
stamp=$(cd "$here/.." && find linux/build.sh linux/root linux/src bench -type f | sort | xargs sha256sum | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && [ -s "$out/vmlinuz" ] && [ -s "$out/initrd.gz" ] && [ -s "$out/disk.img" ]; then
    say "out/ is up to date"
    exit 0
fi
mkdir -p "$out" "$packages"
exec 9> "$out/lock"
flock 9 2>/dev/null || true       # two builds at once take turns

# --- Tools and packages -----------------------------------------------------------------------------------------
updated=
update() {
    [ "$updated" ] && return
    updated=yes
    say "reading the package lists"
    apt-get update -qq >/dev/null 2>&1 || say "some package lists could not be read, going on with what is there"
}

need() {    # COMMAND-OR-FILE PACKAGE
    if [ -e "$1" ] || command -v "$1" >/dev/null; then return; fi
    [ "$(id -u)" = 0 ] || die "$1 is missing: run this as root once, or install the package $2"
    say "installing $2"
    apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 || {
        update
        apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 || die "cannot install the package $2 (needed for $1)"
    }
}

fetch() {    # NAME: brings packages/NAME_*.deb
    if compgen -G "$packages/$1_*.deb" >/dev/null; then return; fi
    say "fetching $1 (i386)"
    (cd "$packages" && apt-get -o APT::Sandbox::User=root download -qq "$1:i386" >/dev/null 2>&1) || {
        update
        (cd "$packages" && apt-get -o APT::Sandbox::User=root download -qq "$1:i386") || die "cannot fetch the package $1:i386 from the Debian mirror that apt is set up with"
    }
}

command -v apt-get >/dev/null || die "this is not a Debian system (no apt-get)"
command -v gcc >/dev/null || die "gcc is missing: apt-get install gcc"
kernel_package=$(cd "$packages" && ls linux-image-6.1.*-686_*.deb 2>/dev/null | sort -V | tail -1 | sed 's/_.*//' || true)
if [ -z "$kernel_package" ]; then
    if [ "$(dpkg --print-architecture)" != i386 ] && ! dpkg --print-foreign-architectures | grep -qx i386; then
        [ "$(id -u)" = 0 ] || die "run this as root once: it must add the i386 architecture (dpkg --add-architecture i386)"
        dpkg --add-architecture i386
        update
    fi
    newest() { apt-cache depends linux-image-686:i386 2>/dev/null | sed -n 's/.*Depends: \(linux-image-6\.1\.[^: ]*-686\).*/\1/p' | sort -V | tail -1 || true; }
    kernel_package=$(newest)
    [ "$kernel_package" ] || { update; kernel_package=$(newest); }
    [ "$kernel_package" ] || die "apt knows no linux-image-686:i386 of version 6.1; is this Debian 12 with a working mirror?"
fi
fetch "$kernel_package"
fetch busybox-static
need cpio cpio
need mke2fs e2fsprogs
need sfdisk fdisk
need mcopy mtools
need syslinux syslinux
need /usr/lib/syslinux/mbr/mbr.bin syslinux-common

# --- Unpack -----------------------------------------------------------------------------------------------------
rm -rf "$work"
mkdir -p "$work/kernel" "$work/busybox" "$work/root"
say "unpacking $kernel_package"
dpkg-deb -x "$packages"/busybox-static_*.deb "$work/busybox"
kernel_deb=$(ls "$packages/$kernel_package"_*.deb | sort -V | tail -1)
dpkg-deb --fsys-tarfile "$kernel_deb" | tar -x -C "$work/kernel" --wildcards './boot/vmlinuz-*' './lib/modules/*/kernel/arch/*' \
    './lib/modules/*/kernel/crypto/*' './lib/modules/*/kernel/lib/*' './lib/modules/*/kernel/fs/*' './lib/modules/*/kernel/drivers/ata/*' \
    './lib/modules/*/kernel/drivers/scsi/*' './lib/modules/*/kernel/drivers/acpi/*' './lib/modules/*/kernel/drivers/input/evdev.ko' \
    './lib/modules/*/kernel/block/*' './lib/modules/*/kernel/drivers/net/ethernet/8390/*' || die "$kernel_package does not hold the files expected of it"
cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"

# --- Root file system, shared by initrd and disk -----------------------------------------------------------------
root=$work/root
cp -r "$here"/root/. "$root"
mkdir -p "$root"/{bin,sbin,bench,proc,sys,dev,run,tmp,data,newroot,lib/modules,www/cgi-bin}
cp "$work/busybox/bin/busybox" "$root/bin/busybox"
"$root/bin/busybox" true 2>/dev/null || die "this system cannot run 32-bit programs, which is needed to list the applets of busybox"
for applet in $("$root/bin/busybox" --list); do
    if [ "$applet" != busybox ]; then ln -s busybox "$root/bin/$applet"; fi
done
ln -s ../data/log.txt "$root/www/log.txt"
: > "$root/data/log.txt"

flags=(-m32 -march=i686 -mno-sse -mno-mmx -mfpmath=387 -O2 -static -nostdlib -ffreestanding -fno-pic -no-pie
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fcf-protection=none -fwrapv
    -Wall -Wextra -Werror -Wl,--build-id=none -s)
compile() { gcc "${flags[@]}" -o "$2" "$1" || die "cannot compile $1"; }
compile "$here/src/cgi.c" "$root/www/cgi-bin/count"
ln "$root/www/cgi-bin/count" "$root/www/cgi-bin/append"
for program in setclock tellclock; do compile "$here/src/$program.c" "$root/sbin/$program"; done
for source in "$here"/../bench/*.c; do compile "$source" "$root/bench/$(basename "$source" .c)"; done
cp "$here"/../bench/*.sh "$root/bench/"
for script in "$root"/bench/*.sh; do chmod 755 "$script"; mv "$script" "${script%.sh}"; done
(cd "$root/bench" && ls | sort > "$work/all" && mv "$work/all" all)

# Modules in the order in which insmod takes them: what a module names in depends= goes before it.
modules() {    # ORDER-FILE MODULE...
    local order=$root/lib/modules/$1 name
    shift
    : > "$order"
    for name; do add_module "$name" "$order"; done
}
add_module() {
    local file name=${1//-/_} dep
    file=$(find "$work/kernel/lib/modules" -name "$name.ko" -o -name "${name//_/-}.ko" | head -1)
    [ "$file" ] || file=$(find "$work/kernel/lib/modules" -name '*.ko' | while read -r f; do b=${f##*/}; [ "${b//-/_}" = "$name.ko" ] && echo "$f"; done | head -1)
    [ "$file" ] || die "$kernel_package has no module $1"
    grep -qx "${file##*/}" "$2" && return
    for dep in $(grep -aoz '^depends=.*' "$file" | tr -d '\0' | sed 's/^depends=//;s/,/ /g'); do add_module "$dep" "$2"; done
    echo "${file##*/}" >> "$2"
    [ -e "$root/lib/modules/${file##*/}" ] || strip --strip-debug -o "$root/lib/modules/${file##*/}" "$file"
}
modules button.order button evdev
modules disk.order ata_piix sd_mod crc32c_generic ext4
modules pci.order ne2k-pci
modules isa.order ne

# --- initrd.gz and disk.img --------------------------------------------------------------------------------------
# Fixed times, orders and identifiers: the same packages give the same initrd (the disk differs in inode change times).
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible | gzip -9n) > "$work/initrd.gz"

say "making disk.img"
image=$work/disk.img
truncate -s "${disk_mib}M" "$image"
root_start=$((boot_start + boot_sectors)) root_sectors=$((disk_mib * 2048 - boot_start - boot_sectors))
sfdisk -q "$image" <<END
label: dos
label-id: 0x86860001
start=$boot_start, size=$boot_sectors, type=6, bootable
start=$root_start, size=$root_sectors, type=83
END
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$image" conv=notrunc status=none
cat > "$work/syslinux.cfg" <<'END'
SERIAL 0 115200
DEFAULT linux
PROMPT 0
TIMEOUT 0
LABEL linux
    KERNEL vmlinuz
    INITRD initrd.gz
    APPEND root=/dev/sda2 console=tty0 console=ttyS0,115200 quiet
LABEL verbose
    KERNEL vmlinuz
    INITRD initrd.gz
    APPEND root=/dev/sda2 console=tty0 console=ttyS0,115200
END
export MTOOLS_SKIP_CHECK=1 SOURCE_DATE_EPOCH=0 E2FSPROGS_FAKE_TIME=1
fat=$image@@$((boot_start * 512))
mformat -i "$fat" -T $boot_sectors -h 255 -s 63 -H $boot_start -N 86860001 -v EMU86BOOT ::
mcopy -i "$fat" "$work/vmlinuz" "$work/initrd.gz" "$work/syslinux.cfg" ::
syslinux --install --offset $((boot_start * 512)) "$image" || die "syslinux could not install itself on disk.img"
mke2fs -q -t ext4 -O ^metadata_csum,^64bit -m 0 -L emu86root -U 86860000-0000-4000-8000-000000000001 \
    -E "offset=$((root_start * 512)),root_owner=0:0,hash_seed=86860000-0000-4000-8000-000000000002,lazy_itable_init=0" \
    -d "$root" "$image" $((root_sectors / 2))k

mv "$work/vmlinuz" "$work/initrd.gz" "$work/disk.img" "$out/"
rm -rf "$work"
echo "$stamp" > "$out/stamp"
say "$kernel_package: $(cd "$out" && du -k --apparent-size vmlinuz initrd.gz disk.img | awk '{ printf "%s %s KiB  ", $2, $1 }')"
