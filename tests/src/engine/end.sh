pid=$(cat "$dir/containerd.pid")
grep -qs "$dir" "/proc/$pid/cmdline" && kill -s KILL "$pid"
for entry in /proc/[0-9]*; do
    # By the name of the program: this text is on a command line too.
    grep -qs '^containerd-shim' "$entry/comm" && grep -qs "$dir/" "$entry/cmdline" && kill -s KILL "${entry#/proc/}"
done
find "$dir/containerd" -name init.pid | while read -r file; do
    pid=$(cat "$file") id=$(basename "$(dirname "$file")")
    grep -qs "$id" "/proc/$pid/cgroup" && kill -s KILL "$pid"
done
awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r |
    while read -r mount; do umount -l "$mount"; done
