#!/bin/sh
# The whole extension, or its C alone, under a sanitizer; says what it found, and fails if anything.
#
#   sh tests/sanitizers.sh address [ARGUMENTS OF PYTEST]   AddressSanitizer and UBSan: the suite
#   sh tests/sanitizers.sh random [SECONDS [SEED]]         the same, tests/random_use.py
#   sh tests/sanitizers.sh thread                          ThreadSanitizer: tests/c/stress.c
#   sh tests/sanitizers.sh valgrind                        valgrind: tests/c/stress.c
#
# What is built lies in a scratch folder; the working tree stays as it is. The C alone runs ten
# times. tests/test_c.py runs each of these once, and CI runs a part of the suite under `address`.
set -eu
cd "$(dirname "$0")/.."
here=$PWD
python=$here/.venv/bin/python

# Left out under AddressSanitizer, each for a reason that is not ours:
#   test_build, test_c, test_typing, test_layers   build or read the sources, nothing runs
#   address_space, memory   the sanitizer reserves terabytes of addresses and keeps freed memory
#   small_stack, stack_too_small   its frames are several times as large as what is tested for
#   lesson, study, transcripts     compare threads, mappings and system calls of a plain process
NOT="not (address_space or memory or small_stack or stack_too_small or recursion)"

sanitized() { # a program of Python, under AddressSanitizer and UBSan
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    git ls-files -co --exclude-standard | tar c -T - | tar x -C "$scratch"
    cd "$scratch"
    CFLAGS='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
            -g -O1' "$python" setup.py -q build_ext --inplace
    libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
    status=0
    # Leaks: Python itself leaks at exit. A sanitizer that found something ends the process (99).
    LD_PRELOAD=$libraries PYTHONPATH=$scratch PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:exitcode=99:allocator_may_return_null=1:handle_segv=0 \
        UBSAN_OPTIONS=print_stacktrace=1:exitcode=99 \
        "$python" "$@" || status=$?
    return $status
}

address() {
    sanitized -m pytest -p no:cacheprovider -k "$NOT" --ignore tests/test_build.py \
        --ignore tests/test_c.py --ignore tests/test_typing.py --ignore tests/test_layers.py \
        --ignore-glob 'tests/test_study*' "$@"
}

repeat() { # a test of tests/test_c.py, ten times
    for i in 1 2 3 4 5 6 7 8 9 10; do
        echo "== $i of 10"
        "$python" -m pytest -q -p no:cacheprovider tests/test_c.py -k "$1"
    done
}

case ${1:-} in
address)
    shift
    address "$@"
    ;;
random)
    shift
    sanitized tests/random_use.py "${@:-20}"
    ;;
thread) repeat threadsanitizer ;;
valgrind) repeat valgrind ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
