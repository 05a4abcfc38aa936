#!/bin/sh
# Starts a validator again when it crashed, hung or asked for it, and tells it which: what a board's reset does.
#
#     firmware/boards/pc/restart.sh micropython -m boards.unix.main device.cbor
#
# Ends as the validator does, with its code, when that was told to end or cannot start. Exit codes: boards/pc/console.py.

child=
trap '[ -n "$child" ] && kill -TERM "$child"' TERM INT
exec 3<&0
: "${YKT_RESET_CAUSE=power}"
while :; do
    YKT_RESET_CAUSE=$YKT_RESET_CAUSE "$@" <&3 &
    child=$!
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do # a signal to us ended the wait: the validator ends between two taps
        wait "$child"
        code=$?
    done
    case $code in
    3 | 4) YKT_RESET_CAUSE=software ;;
    142) YKT_RESET_CAUSE=watchdog ;;
    *) exit "$code" ;;
    esac
    sleep "${YKT_RESTART_WAIT_S:-1}" # a program that breaks at once must not wear the flash out
done
