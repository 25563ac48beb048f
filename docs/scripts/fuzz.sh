#!/bin/sh
# Fuzzes every parser that faces a network or a file, and prints how many inputs each was given.
# usage: docs/scripts/fuzz.sh [minutes, default 10] [seed, default 1]
set -eu
cd "$(dirname "$0")/../.."
result=$(mktemp)
trap 'rm -f "$result"' EXIT
EMU86_FUZZ_MINUTES="${1:-10}" EMU86_FUZZ_SEED="${2:-1}" EMU86_FUZZ_RESULT="$result" \
    dotnet test Emu86.Tests --filter FullyQualifiedName~FuzzTests.As_long_as_asked
cat "$result"
