# Runs one command and never lets it outlive the one who asked for it.
#
#   sh -c "$(cat supervise.sh)" supervise DIRECTORY GRACE LOG FINALLY COMMAND [ARGUMENT…]
#
# Standard input is held open by the owner. A line on it is the name of a signal for the command, or
# `leave` (forget DIRECTORY and FINALLY). At its end the command gets SIGTERM, GRACE tenths of a second,
# then SIGKILL; FINALLY is evaluated with $dir set, and DIRECTORY is removed, unless RADAR_TESTS_KEEP is set. On standard output:
# `pid N` at once, `done` after each line of input, `exit CODE` when the command has ended.
exec 3<&0 </dev/null
dir=$1 grace=$2 log=$3 finally=$4
shift 4

"$@" 3<&- >>"$log" 2>&1 &
child=$!
# After the child was started, so that it does not inherit it: the owner may be gone when we report.
trap '' PIPE
echo "pid $child"

# A reaped pid may belong to somebody else by then; only our own child is ever signalled.
mine() { grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$child/status"; }

(
    while read -r order <&3; do
        case $order in
            leave) dir='' finally='' ;;
            *) mine && kill -s "$order" "$child" ;;
        esac
        echo done 2>/dev/null
    done
    if mine; then
        kill -s TERM "$child"
        kill -s CONT "$child"
        while mine && [ "$grace" -gt 0 ]; do
            sleep 0.1
            grace=$((grace - 1))
        done
        mine && kill -s KILL "$child"
        while mine; do sleep 0.1; done
    fi
    [ -z "$finally" ] || eval "$finally"
    [ -z "$dir" ] || [ -n "$RADAR_TESTS_KEEP" ] || rm -rf --one-file-system "$dir"
) 2>>"$log" &
keeper=$!
exec 3<&-

wait "$child"
echo "exit $?"
wait "$keeper"
