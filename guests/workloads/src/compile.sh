#!/bin/sh
# Compiles all sources so many times, and says how many files came out.
# usage: compile TIMES
n=0
while [ $n -lt "$1" ]; do
    rm -rf /tmp/objects
    mkdir /tmp/objects
    for source in /work/sources/*.c; do
        object=${source##*/}
        tcc -nostdinc -c -o "/tmp/objects/${object%.c}.o" "$source" || exit 1
    done
    n=$((n + 1))
done
ls /tmp/objects | wc -l
