dir=$1
shift
pid=$(cat "$dir/containerd.pid" 2>/dev/null)
if [ -z "$pid" ] || ! grep -qs "$dir" "/proc/$pid/cmdline"; then
    rm -f "$dir/containerd.sock"
    containerd --config "$dir/containerd.toml" >>"$dir/containerd.log" 2>&1 &
    echo $! >"$dir/containerd.pid"
    until [ -S "$dir/containerd.sock" ]; do
        kill -0 $! || { cat "$dir/containerd.log"; exit 1; }
        sleep 0.02
    done
fi
exec dockerd "$@"
