#!/bin/sh
# Compares the translator with the interpreter over generated programs, batch after batch, for a time; says which seeds were run.
# usage: docs/scripts/translator.sh [minutes, default 60] [first seed, default 1]
set -eu
cd "$(dirname "$0")/../.."
minutes="${1:-60}" seed="${2:-1}" batch=5000
dotnet build Emu86.Tests -v q
end=$(($(date +%s) + minutes * 60)) first=$seed
while [ "$(date +%s)" -lt "$end" ]; do
    EMU86_TRANSLATOR_PROGRAMS=$batch EMU86_TRANSLATOR_SEED=$seed \
        dotnet test Emu86.Tests --no-build -v q --filter FullyQualifiedName~Random_programs_end_in_the_same_state_at_every_stop
    seed=$((seed + batch))
    echo "translator: programs with seeds $first to $((seed - 1)) agree"
done
