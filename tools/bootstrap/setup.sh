#!/bin/sh
# Sets this clone up: system packages, .venv, MicroPython and its WebAssembly build. Run it through `make setup`.
# With the argument `settrace` also the MicroPython that `make soak` measures coverage with; with `board` the firmware
# of the emulated ARM board, for `make test` and `make bench`.
#
# Every step is skipped while its inputs are unchanged (build/stamps) and may be interrupted anywhere: a stamp is
# written last, results are moved into place whole. A second run in the same clone waits for the first.
set -eu
cd "$(dirname "$0")/../.."
HERE=tools/bootstrap
mkdir -p build/stamps build/log

progress_pid=
trap 'kill $progress_pid 2> /dev/null; echo "setup: interrupted; run it again to go on"; exit 130' INT

exec 9> build/setup.lock
flock -n 9 || { echo "setup: another run is busy in this clone, waiting for it"; flock 9; }

hash_of() { cat "$@" | sha256sum | cut -c 1-16; }

unchanged() {       # STEP KEY
    [ "$(cat "build/stamps/$1" 2> /dev/null)" = "$2" ]
}

progress() {        # LOG: its last line every 5 seconds, until it is killed or this script is gone
    seconds=0
    while sleep 1 && kill -0 $$ 2> /dev/null; do
        seconds=$((seconds + 1))
        [ $((seconds % 5)) != 2 ] || printf '       %3d s  %.90s\n' $seconds "$(grep . "$1" | tail -n 1)"
    done
}

step() {            # STEP KEY WHY COMMAND...: runs COMMAND with progress, then stamps STEP with KEY
    step=$1 key=$2 log=build/log/setup-$1.log
    echo "setup: $3"
    shift 3
    rm -f "build/stamps/$step"
    : > "$log"
    progress "$log" 9>&- &
    progress_pid=$!
    # In the foreground, so that Ctrl-C reaches it; in a subshell of its own, so that -e holds within.
    set +e
    (set -e; "$@") > "$log" 2>&1
    code=$?
    set -e
    kill $progress_pid 2> /dev/null || true
    if [ $code != 0 ]; then
        tail -n 20 "$log" >&2
        echo "setup: this step failed; the whole output is in $log. Run make setup again after the cure." >&2
        exit 1
    fi
    echo "$key" > "build/stamps/$step.new"
    mv "build/stamps/$step.new" "build/stamps/$step"
}

# --- system packages ---------------------------------------------------------------------------------------------

wanted() { case " $EXTRAS " in *" $1 "*) ;; *) return 1 ;; esac; }
EXTRAS=$*

# Tools that need not come from apt are looked for by name, the rest by package.
missing_packages() {
    while read -r package needs; do
        case $needs in
            -) dpkg-query -W -f '${db:Status-Status}\n' "$package" 2> /dev/null | grep -qx installed ;;
            *) sh -c "$needs" > /dev/null 2>&1 ;;
        esac || printf '%s ' "$package"
    done << END
python3             $PYTHON_OK
python3-venv        ${PYTHON:-python3} -c 'import ensurepip, venv'
python3-dev         test -e "\$(${PYTHON:-python3} -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
gcc                 command -v gcc
make                command -v make
pkg-config          command -v pkg-config
swig                command -v swig
nodejs              command -v node
npm                 command -v npm
util-linux          command -v unshare
pcscd               -
fonts-wqy-microhei  -
vsmartcard-vpcd     -
libfaketime         -
libccid             -
pcsc-tools          -
opensc              -
libpcsclite-dev     -
libffi-dev          -
libnfc-bin          -
libnfc-examples     -
libnfc-pn53x-examples -
dpkg-dev            -
softhsm2            -
$(wanted board && echo 'qemu-system-arm     command -v qemu-system-arm
gcc-arm-none-eabi   command -v arm-none-eabi-gcc
libnewlib-arm-none-eabi -')
END
}
PYTHON_OK="${PYTHON:-python3} -c 'import sys; sys.exit(sys.version_info < (3, 11))'"

install_packages() {    # PACKAGE...
    # pcscd's package would start the daemon where an init system is half there; ours runs only while it is used.
    mkdir -p build/nostart
    printf '#!/bin/sh\nexit 0\n' > build/nostart/invoke-rc.d
    chmod +x build/nostart/invoke-rc.d
    export PATH="$PWD/build/nostart:$PATH" DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=300 update
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root install --no-install-recommends "$@"
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "setup: these system packages are missing: $missing" >&2
        echo "       Install them and run make setup again:" >&2
        echo "       sudo apt-get update && sudo apt-get install --no-install-recommends $missing" >&2
        exit 2
    fi
    # shellcheck disable=SC2086
    step packages - "installing from apt: $missing(readers, compilers, foreign card clients)" install_packages $missing
fi

# --- .venv -------------------------------------------------------------------------------------------------------

make_venv() {
    # A broken or half-made environment is made afresh; a whole one is brought up to date.
    [ -e .venv/whole ] && [ -x .venv/bin/pip ] || "${PYTHON:-python3}" -m venv --clear .venv
    rm -f .venv/whole
    PIP_CONSTRAINT=requirements.lock .venv/bin/pip install --progress-bar off -r requirements.lock
    .venv/bin/pip install --progress-bar off --no-build-isolation --no-deps --editable .
    # Our folders as seen from site-packages. Python reads this file in the locale's encoding and does not start when
    # that cannot spell the path, as C cannot spell 一卡通.
    for site in .venv/lib/python3.*/site-packages; do
        printf '../../../..\n../../../../firmware\n' > "$site/_yikatong.pth"
    done
    # A second copy of the MicroPython stubs, apart from site-packages: the type checker takes it for typeshed.
    rm -rf build/typings
    .venv/bin/pip install --no-deps --target build/typings $(grep '^micropython-.*-stubs==' requirements.lock)
    # Stubs of the boards' own modules, each in a folder of its own: they name the same modules.
    grep '^micropython-' $HERE/stubs.lock | while read -r stubs; do
        board=${stubs#micropython-} board=${board%-stubs==*}
        rm -rf "build/typings-$board"
        .venv/bin/pip install --no-deps --target "build/typings-$board" "$stubs"
    done
    touch .venv/whole
}

key=$PWD-$(hash_of requirements.lock pyproject.toml $HERE/stubs.lock)
if ! unchanged venv "$key" || ! [ -e .venv/whole ]; then
    step venv "$key" "making .venv with the packages of requirements.lock (pyscard is compiled)" make_venv
fi

# --- bulk TAC verdicts -------------------------------------------------------------------------------------------

# shellcheck disable=SC2046
key=$(uname -m)-$(hash_of $(ls backoffice/keys/native/*.[ch] backoffice/keys/native/*.py) \
    firmware/tunion/crypto/des_tables.py)
if ! unchanged native "$key" || ! [ -e build/native/libyktac.so ]; then
    step native "$key" "compiling build/native/libyktac.so for TAC verdicts in bulk" \
        .venv/bin/python -m backoffice.keys.native
fi

# --- MicroPython -------------------------------------------------------------------------------------------------

key=$(hash_of $HERE/micropython.sh)
if ! unchanged micropython "$key" || ! [ -x build/bin/micropython ]; then
    step micropython "$key" "fetching MicroPython for build/bin/micropython" \
        sh $HERE/micropython.sh fetch build/micropython
    build/bin/micropython -c 'import sys; print("setup: MicroPython %d.%d.%d" % sys.implementation[1][:3])'
fi

make_wasm() {
    rm -rf build/wasm.new
    mkdir build/wasm.new
    cp tools/wasm/package.json tools/wasm/package-lock.json build/wasm.new/
    npm ci --prefix build/wasm.new --no-audit --no-fund
    rm -rf build/wasm
    mv build/wasm.new build/wasm
}

key=$(hash_of tools/wasm/package.json tools/wasm/package-lock.json)
if ! unchanged wasm "$key" || ! [ -e build/wasm/node_modules ]; then
    step wasm "$key" "installing MicroPython's WebAssembly build, a second interpreter for the tests" make_wasm
fi

for extra in "$@"; do
    case $extra in
        settrace)
            result=build/settrace/micropython inputs=$HERE/micropython.sh
            why="building MicroPython with sys.settrace for line coverage" ;;
        board)
            result=build/board/firmware.elf inputs="$HERE/micropython.sh $(find firmware/boards/qemu_mps2/port -type f | sort)"
            why="building MicroPython for the emulated ARM board" ;;
        *)
            echo "setup: there is nothing called $extra to set up" >&2
            exit 2 ;;
    esac
    # shellcheck disable=SC2086
    key=$(hash_of $inputs)
    if ! unchanged "$extra" "$key" || ! [ -e $result ]; then
        step "$extra" "$key" "$why" sh $HERE/micropython.sh "$extra" "${result%/*}"
    fi
done

echo "setup: ready (.venv/bin/ykt, build/bin/micropython)"
