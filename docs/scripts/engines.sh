#!/bin/sh
# Linux's boot and the whole benchmark set, recorded under one engine with a state hash every ten million instructions, replayed under
# that engine and under the other; says how long each took and how many hashes were equal.
# usage: docs/scripts/engines.sh [recording engine, default translator] [rounds, default 1]
set -eu
cd "$(dirname "$0")/../.."
engine="${1:-translator}" rounds="${2:-1}" out=guests/linux/out
other=interpreter
[ "$engine" = interpreter ] && other=translator
jobs=sieve,crc32,quicksort,mixed,memory,fib,interpreter,strings,sha256sum,gzip,nbody,mandelbrot,linpack,getpid,fork,pipe,pagefault
dotnet build -c Release Emu86.Ft -v q
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
emu86() { dotnet Emu86.Ft/bin/Release/net10.0/emu86.dll "$@" < /dev/null; }
timed() {
    name="$1"
    shift
    begin=$(date +%s%N)
    emu86 "$@" --print-hash > "$work/out" 2> "$work/said" || { cat "$work/said"; exit 1; }
    echo "engines: $name: $((($(date +%s%N) - begin) / 1000000)) ms, $(grep -a state-hash "$work/out" | tail -1) $(grep -a 'replayed to' "$work/said" || true)"
}
round=0
while [ $((round += 1)) -le "$rounds" ]; do
    timed "recorded by the $engine" --record "$work/recording" --engine "$engine" --kernel $out/vmlinuz --initrd $out/initrd.gz \
        --append "console=ttyS0,115200 quiet emu86.net=off emu86.run=$jobs" --net none --serial null --no-reboot --rtc-base 2026-01-01 --hash-every 90
    timed "replayed by the $engine" --replay "$work/recording" --engine "$engine"
    timed "replayed by the $other" --replay "$work/recording" --engine "$other"
done
