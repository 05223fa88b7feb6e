#!/bin/sh
# Every figure that the documents show, in one go of about 40 minutes on an idle machine.
#
#   sh benchmarks/figures.sh [PYTHON [BEFORE]]
#
# PYTHON (default .venv/bin/python) has the package and the rivals. turbofile needs 3.12 or newer.
# BEFORE is another checkout with a .venv, whose figures are taken in the same runs. Tables go to
# benchmarks/build/figures/, rates to docs/*.json, and pictures are drawn from those beside them.
# PAIRS (5) and SECONDS_EACH (1) are what their runs take.
set -eu
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
against=${2:+--against $2}
how="--pairs ${PAIRS:-5} --seconds ${SECONDS_EACH:-1}"
out=benchmarks/build/figures
mkdir -p "$out"

# A missed goal is a figure, not a failure, so the next table is made all the same.
# shellcheck disable=SC2086 # lists of arguments
{
    echo "== the calls, beside C"
    "$python" benchmarks/run.py $how $against --json "$out/calls.json" | tee "$out/calls.txt"
    echo "== awaited reads and files"
    "$python" benchmarks/asyncio_files.py $how --markdown "$out/files.md" \
        --json docs/asyncio.json
    echo "== what programs do all day"
    "$python" benchmarks/everyday.py $how $against --markdown "$out/everyday.md" \
        --json docs/everyday.json
}
"$python" benchmarks/bars.py docs/asyncio.json docs/everyday.json
"$python" benchmarks/picture.py
