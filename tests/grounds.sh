#!/bin/sh
# The suite and the commands on another ground than this machine's.
#
#   sh tests/grounds.sh user [ARGUMENTS OF PYTEST]      as an ordinary user of this machine
#   sh tests/grounds.sh trixie|sid|bookworm [PYTHON]    in a tree of that Debian, as root
#   sh tests/grounds.sh arm64                           a few tests on aarch64, by qemu-user
#
# A tree is made once by mmdebstrap below $GROUNDS (default /var/cache/aio_posix-grounds) and used
# again; remove the folder to have it made anew. PYTHON is a command that exists in the tree, such
# as python3.15; by default each that Debian has there. Everything is mounted in a mount namespace
# that ends with the script, so nothing of this machine is in the tree when it is over.
set -eu
cd "$(dirname "$0")/.."
here=$PWD
grounds=${GROUNDS:-/var/cache/aio_posix-grounds}

# --- an ordinary user

as_user() {
    home=$(mktemp -d)
    chmod 777 "$home"
    become=
    if [ "$(id -u)" = 0 ]; then
        # may read everything, so that a clone below /root can be tested, and nothing else
        become='setpriv --reuid=65534 --regid=65534 --clear-groups'
        become="$become --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
    fi
    status=0
    # shellcheck disable=SC2086 # a command and its arguments
    HOME=$home PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=$home/hypothesis \
        $become .venv/bin/python -m pytest -p no:cacheprovider --basetemp "$home/tests" "$@" ||
        status=$?
    rm -rf --one-file-system "$home"
    return $status
}

# --- a Debian tree

make_tree() { # SUITE ARCHITECTURE PACKAGES...
    suite=$1 architecture=$2
    shift 2
    [ ! -d "$tree" ] || return 0
    mkdir -p "$grounds"
    rm -rf --one-file-system "$tree.new"
    mmdebstrap --quiet --variant=apt --arch="$architecture" --include="$(echo "$*" | tr ' ' ,)" \
        --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$tree.new"
    mv "$tree.new" "$tree"
}

put_source() { # what git would commit, into $tree/src
    rm -rf --one-file-system "$tree/src"
    mkdir -p "$tree/src"
    git ls-files -co --exclude-standard | tar c -T - | tar x -C "$tree/src"
    # for machines whose network or package index needs its own settings
    cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || {
        mkdir -p "$tree/etc/ssl/certs"
        cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
    }
    [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$tree/etc/pip.conf"
}

inside() { # runs a command in the tree, with a /proc, /dev/shm and /dev/pts of its own
    unshare --mount --pid --fork --kill-child sh -c '
        tree=$1
        shift
        mount --bind "$tree" "$tree"   # a root that /proc/self/mountinfo knows, as everywhere else
        mount -t proc proc "$tree/proc"
        mount -t tmpfs tmpfs "$tree/dev"
        mkdir "$tree/dev/shm" "$tree/dev/pts"
        for node in null zero full random urandom tty; do
            touch "$tree/dev/$node"
            mount --bind "/dev/$node" "$tree/dev/$node"
        done
        mount -t tmpfs tmpfs "$tree/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=666 devpts "$tree/dev/pts"
        ln -s pts/ptmx "$tree/dev/ptmx"
        ln -s /proc/self/fd "$tree/dev/fd"
        exec chroot "$tree" "$@"
    ' sh "$tree" "$@"
}

ground() { # NAME PYTHON: README's two commands, then every command of the program
    inside env --default-signal=INT HOME=/root LC_ALL=C.UTF-8 sh -c '
        name=$1 python=$2
        cd /src
        venv=/root/venv-$python
        [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
        rm -f .venv && ln -s "$venv" .venv
        rm -rf aio_posix/_ffi*.so build
        failed=
        attempt() {
            echo "== $*"
            "$@" >/tmp/out 2>&1 </dev/null && return
            failed="$failed; $*"
            tail -n 400 /tmp/out
        }
        attempt sh .ci/setup test
        demo="import subprocess, sys; subprocess.run(sys.argv[1:], input=b\"exit\\n\", check=True)"
        attempt .venv/bin/python -c "$demo" .venv/bin/python demo_echo.py 0
        attempt .venv/bin/python -m pytest -q -p no:cacheprovider
        tests=$(grep -E "[0-9]+ (passed|failed)" /tmp/out | tail -n 1)
        attempt .venv/bin/python -m aio_posix study all
        attempt .venv/bin/python -m aio_posix limits
        attempt sh -c "sleep 3 | .venv/bin/python demo_echo.py 0 & sleep 1
            .venv/bin/python -m aio_posix ps \$(pgrep -f \"^.venv/bin/python demo_echo\")"
        attempt .venv/bin/python -m aio_posix trace --svg /tmp/trace.svg -- examples/callback.py
        attempt .venv/bin/python -m aio_posix.study.agree --scripts 300
        libc=$(ldd --version | head -n 1 | grep -o "[0-9.]*$")
        version=$(.venv/bin/python -c "import platform; print(platform.python_version())")
        echo
        echo "| $name | $version | $libc | $tests | $(date +%F) |"
        [ -z "$failed" ] || { echo "FAILED$failed"; exit 1; }
    ' sh "$1" "$2"
}

case ${1:-} in
user)
    shift
    as_user "$@"
    ;;
bookworm | trixie | sid)
    tree=$grounds/$1
    pythons=python3
    [ "$1" != sid ] || pythons='python3 python3.15'
    packages=$(for python in $pythons; do echo "$python" "$python-dev" "$python-venv"; done)
    # shellcheck disable=SC2086 # a list of packages
    make_tree "$1" "$(dpkg --print-architecture)" $packages gcc libc6-dev strace git procps
    status=0
    for python in ${2:-$pythons}; do
        put_source
        ground "$1" "$python" || status=1
    done
    exit $status
    ;;
arm64)
    tree=$grounds/arm64
    make_tree trixie arm64 python3 python3-dev python3-venv python3-cffi python3-setuptools \
        gcc libc6-dev
    put_source
    inside env HOME=/root sh -c '
        cd /src
        rm -rf aio_posix/_ffi*.so build
        python3 -m venv --system-site-packages /root/venv
        /root/venv/bin/pip install --quiet "pytest>=8.4"
        /root/venv/bin/python setup.py -q build_ext --inplace
        /root/venv/bin/python -m pytest -q -p no:cacheprovider tests/test_aio_read.py \
            tests/test_aio_write.py tests/test_aio_error.py tests/test_aio_return.py
    '
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$here/tests/grounds.sh" >&2
    exit 2
    ;;
esac
