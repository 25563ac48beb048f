#!/bin/sh
# Runs the replication protocol's simulator over many seeds, on all cores, and prints what happened and how long it took.
# usage: docs/scripts/simulate.sh [number of runs, default 1000000] [first seed, default 1]
set -eu
cd "$(dirname "$0")/../.."
result=$(mktemp)
trap 'rm -f "$result"' EXIT
EMU86_SIMULATE="${1:-1000000}" EMU86_SIMULATE_FROM="${2:-1}" EMU86_SIMULATE_RESULT="$result" \
    dotnet test Emu86.Tests --filter FullyQualifiedName~SimulatorTests.Every_seeded_run
cat "$result"
