#!/bin/bash
# Makes out/initrd.gz: the Linux guest's initrd with Debian's i386 packages of tcc and sqlite3, and what `Emu86.Bench tables` gives the guest
# to do. Needs guests/linux/build.sh to have run, and gcc; the first time a package mirror. Does nothing when nothing changed.
# Usage: build.sh [--force]
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
out=$here/out packages=$here/out/packages work=$here/out/work initrd=$here/../linux/out/initrd.gz

say() { echo "build.sh: $*"; }
die() { echo "build.sh: $*" >&2; exit 1; }

[ -s "$initrd" ] || die "run guests/linux/build.sh first: its initrd is the beginning of this one"
[ "${1:-}" = --force ] && rm -f "$out/stamp"
stamp=$(cat "$0" "$here"/src/* "$here"/../bench/* "$initrd" | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "out/ is up to date"
    exit 0
fi
mkdir -p "$packages"
exec 9> "$out/lock"
flock 9 2>/dev/null || true       # two builds at once take turns

updated=
fetch() {    # NAME: brings packages/NAME_*.deb
    if compgen -G "$packages/$1_*.deb" >/dev/null; then return; fi
    say "fetching $1 (i386)"
    (cd "$packages" && apt-get -o APT::Sandbox::User=root download -qq "$1:i386" >/dev/null 2>&1) || {
        [ "$updated" ] || { updated=yes; apt-get update -qq >/dev/null 2>&1 || true; }
        (cd "$packages" && apt-get -o APT::Sandbox::User=root download -qq "$1:i386") || die "cannot fetch the package $1:i386 from the Debian mirror that apt is set up with"
    }
}

for package in libc6 tcc sqlite3 libsqlite3-0 libreadline8 libtinfo6 zlib1g; do fetch "$package"; done
rm -rf "$work"
mkdir -p "$work/all" "$work/root/bin" "$work/root/bench"
for package in "$packages"/*.deb; do dpkg-deb -x "$package" "$work/all"; done
root=$work/root
# Libraries where the loader looks, without what only other programs need.
mkdir -p "$root/lib" "$root/usr/lib/i386-linux-gnu/tcc"
for library in ld-linux.so.2 libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 libsqlite3.so.0 libreadline.so.8 libtinfo.so.6 libz.so.1; do
    file=$(find "$work/all" -name "$library" | head -1)
    [ "$file" ] || die "the packages hold no $library"
    cp -L "$file" "$root/lib/$library"
done
cp "$work/all/usr/bin/tcc" "$work/all/usr/bin/sqlite3" "$root/bin/"
cp -r "$work/all/usr/lib/i386-linux-gnu/tcc/." "$root/usr/lib/i386-linux-gnu/tcc/"
gcc -m32 -march=i686 -mno-sse -mno-mmx -mfpmath=387 -O2 -static -nostdlib -ffreestanding -fno-pic -no-pie -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fcf-protection=none -Wall -Wextra -Werror -Wl,--build-id=none -s \
    -I "$here/../bench" -o "$root/bench/transactions" "$here/src/transactions.c"
mkdir -p "$root/work/sources"
cp "$here/src/compile.sh" "$root/work/compile"
cp "$here/src/database.sh" "$root/work/database"
chmod 755 "$root/work/compile" "$root/work/database"
# What the guest compiles: the largest program there is here, written by a script.
sh "$here/src/generate.sh" "$root/work/sources"
find "$root" -exec touch -h -d @0 {} +
# The kernel unpacks one archive after the other.
(cat "$initrd"; cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible | gzip -9n) > "$work/initrd.gz"
mv "$work/initrd.gz" "$out/"
rm -rf "$work"
echo "$stamp" > "$out/stamp"
say "initrd.gz $(du -k --apparent-size "$out/initrd.gz" | cut -f1) KiB"
