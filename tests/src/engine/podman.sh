# Podman on the data of a directory and nothing else of this machine:
#
#   sh podman.sh DIRECTORY ARGUMENT…
#
# Where DIRECTORY/user is there, as that user, whom only the processes of this Podman know: the files in which the
# machine keeps its users are other ones for them.
dir=$1
shift
for own in data run tmp home home/networks runtime; do
    mkdir -p "$dir/$own"
    [ ! -e "$dir/user" ] || chown "$(cat "$dir/user")" "$dir/$own"
done
chmod 700 "$dir/runtime"
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_REGISTRIES_CONF="$dir/registries.conf"
export HOME="$dir/home" XDG_RUNTIME_DIR="$dir/runtime"
if [ "$1" = system ]; then
    rm -f "$dir/runtime/podman.sock"
    # Who owns the directory may ask.
    (
        while [ ! -S "$dir/runtime/podman.sock" ] && kill -0 $$; do sleep 0.02; done
        chown --reference="$dir" "$dir/runtime/podman.sock"
        [ -e "$dir/user" ] || chown --reference="$dir" "$dir/runtime"
    ) &
fi
set -- podman --root "$dir/data" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs "$@"
cd / || exit
[ -e "$dir/user" ] || exec "$@"
# shellcheck disable=SC2016 # for the inner shell
exec unshare --mount --propagation private sh -c '
    dir=$1
    shift
    for file in passwd group subuid subgid; do mount --bind "$dir/$file" "/etc/$file" || exit; done
    exec setpriv --reuid "$(cat "$dir/user")" --regid "$(cat "$dir/user")" --clear-groups "$@"
' rootless "$dir" "$@"
