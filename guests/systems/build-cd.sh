#!/bin/bash
# Makes CD images from the Linux guest into out/: cd.iso, which ISOLINUX boots, with the guest's own kernel and initrd and the
# modules that read a CD; one.iso and two.iso, media to be changed. Needs guests/linux/build.sh to have run; root if a tool is
# missing. Does nothing when nothing changed.
# Usage: build-cd.sh [--force]
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
out=$here/out work=$here/out/work-cd linux=$here/../linux/out

say() { echo "build-cd.sh: $*"; }
die() { echo "build-cd.sh: $*" >&2; exit 1; }

[ -s "$linux/initrd.gz" ] || die "run guests/linux/build.sh first: the CD takes its kernel and initrd"
[ "${1:-}" = --force ] && rm -f "$out/stamp-cd"
stamp=$(cat "$0" "$linux/initrd.gz" "$linux/vmlinuz" | sha256sum)
if [ "$(cat "$out/stamp-cd" 2>/dev/null)" = "$stamp" ]; then
    say "out/ is up to date"
    exit 0
fi
mkdir -p "$out"
exec 9> "$out/lock-cd"
flock 9 2>/dev/null || true       # two builds at once take turns

need() {    # FILE PACKAGE
    [ -e "$1" ] && return
    [ "$(id -u)" = 0 ] || die "$1 is missing: run this as root once, or install the package $2"
    say "installing $2"
    apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 || { apt-get update -qq >/dev/null 2>&1 || true; apt-get install -y -qq --no-install-recommends "$2" >/dev/null || die "cannot install $2"; }
}
need /usr/bin/xorriso xorriso
need /usr/bin/cpio cpio
need /usr/lib/ISOLINUX/isolinux.bin isolinux
need /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common

rm -rf "$work"
mkdir -p "$work"/{kernel,extra/lib/modules,boot/isolinux,one,two}
deb=$(ls "$linux"/packages/linux-image-6.1.*-686_*.deb | sort -V | tail -1)
dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/kernel" --wildcards './lib/modules/*/kernel/drivers/scsi/sr_mod.ko' \
    './lib/modules/*/kernel/drivers/cdrom/cdrom.ko' './lib/modules/*/kernel/fs/isofs/isofs.ko'
# A second initrd, unpacked over the guest's own: disk.order is the same with three modules more.
zcat "$linux/initrd.gz" | (cd "$work/extra" && cpio -i --quiet --to-stdout lib/modules/disk.order ./lib/modules/disk.order) > "$work/disk.order"
[ -s "$work/disk.order" ] || die "the guest's initrd has no disk.order"
{ cat "$work/disk.order"; printf '%s\n' cdrom.ko sr_mod.ko isofs.ko; } > "$work/extra/lib/modules/disk.order"
for module in cdrom sr_mod isofs; do
    strip --strip-debug -o "$work/extra/lib/modules/$module.ko" "$(find "$work/kernel" -name "$module.ko")"
done
find "$work/extra" -exec touch -h -d @0 {} +
(cd "$work/extra" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible | gzip -9n) > "$work/boot/cd.gz"

iso() {    # FILE TREE LABEL [OPTION...]
    local file=$1 tree=$2 label=$3
    shift 3
    find "$tree" -exec touch -h -d @0 {} +
    xorriso -report_about WARNING -as mkisofs -quiet -V "$label" -R "$@" -o "$work/$file" "$tree"
}
cp "$linux/vmlinuz" "$linux/initrd.gz" "$work/boot/"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/boot/isolinux/"
cat > "$work/boot/isolinux/isolinux.cfg" <<'END'
serial 0
default linux
prompt 0
label linux
  kernel /vmlinuz
  append initrd=/initrd.gz,/cd.gz console=ttyS0 quiet emu86.disk=on emu86.net=off
END
iso cd.iso "$work/boot" EMU86_CD -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table
for name in one two; do
    echo "this is medium $name" > "$work/$name/name.txt"
    seq -f "medium $name, line %.0f" 1 200000 > "$work/$name/lines.txt"
    iso "$name.iso" "$work/$name" "EMU86_${name^^}"
done
mv "$work"/*.iso "$out"
rm -rf "$work"
echo "$stamp" > "$out/stamp-cd"
say "out/ has cd.iso, one.iso and two.iso"
