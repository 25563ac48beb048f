#!/bin/sh
# A pair whose sides have different engines, over Linux's boot and benchmark programs up to a count: both sides stop there and must
# print the same hash; a divergence on the way (a hash each second of guest time) ends the backup before.
# usage: docs/scripts/mixed-pair.sh [primary's engine, default translator] [backup's engine, default interpreter] [count, default 12000000000]
set -eu
cd "$(dirname "$0")/../.."
engine="${1:-translator}" other="${2:-interpreter}" count="${3:-12000000000}" out=guests/linux/out
jobs=sieve,fork,pipe,gzip,sha256sum,interpreter,pagefault,strings,nbody,mixed,getpid,memory,quicksort,fib
dotnet build -c Release Emu86.Ft -v q
work="$(mktemp -d)"
backup= port=$((20000 + $$ % 20000))
trap '[ -z "$backup" ] || kill "$backup" 2>/dev/null || true; rm -rf "$work"' EXIT
emu86="dotnet Emu86.Ft/bin/Release/net10.0/emu86.dll"
$emu86 --backup --listen "127.0.0.1:$port" --engine "$other" --net none --serial null --state-dir "$work" --print-hash < /dev/null > "$work/backup" 2>&1 &
backup=$!
begin=$(date +%s)
$emu86 --primary --backups "127.0.0.1:$port" --engine "$engine" --net none --serial null --state-dir "$work" --print-hash --stop-at "$count" \
    --kernel $out/vmlinuz --initrd $out/initrd.gz --append "console=ttyS0,115200 quiet emu86.net=off emu86.run=$jobs" < /dev/null > "$work/primary" 2>&1 \
    || { cat "$work/primary" "$work/backup"; exit 1; }
grep -aq 'protected by' "$work/primary" || { cat "$work/primary" "$work/backup"; exit 1; }
wait "$backup" || { cat "$work/primary" "$work/backup"; exit 1; }
backup=
hash="$(grep -a '^state-hash' "$work/primary")"
if ! grep -aqx "$hash" "$work/backup"; then
    cat "$work/primary" "$work/backup"
    echo "mixed-pair: the sides do not end with one hash" >&2
    exit 1
fi
echo "mixed-pair: primary $engine, backup $other: both at $hash after $(($(date +%s) - begin)) s"
