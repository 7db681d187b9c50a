PATH=$PATH:/usr/sbin:/sbin
sh "$dir/podman.sh" "$dir" rm --all --force --time 0 --volumes >/dev/null
for entry in /proc/[0-9]*; do
    # What is left of a Podman that was killed, and the process that keeps the name space of one without root.
    grep -qsE '^(conmon|podman|catatonit|slirp4netns)' "$entry/comm" || continue
    if grep -qs "$dir/" "$entry/cmdline" || grep -qs "XDG_RUNTIME_DIR=$dir/" "$entry/environ"; then
        kill -s KILL "${entry#/proc/}"
    fi
done
awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r |
    while read -r mount; do umount -l "$mount"; done
