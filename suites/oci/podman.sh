#!/usr/bin/env bash
# The same steps through podman with each of the runtimes given, outputs side by
# side. It exits with 1 if they differ in more than pids, ids and times.
#
#   suites/oci/podman.sh RUNTIME REFERENCE [PARALLEL]
#
# It needs root, podman with conmon, and a static busybox; it uses a storage of
# its own in a temporary directory, and no network.
# $run is several words, and what is quoted is for the shell in the container.
# shellcheck disable=SC2086,SC2016
set -uo pipefail
ours=$(readlink -f -- "$(dirname -- "$1")")/$(basename -- "$1") reference=$2 parallel=${3:-50}
busybox=$(command -v busybox) || { echo "busybox is missing" >&2; exit 3; }
for c in podman conmon; do
	command -v $c >/dev/null || { echo "$c is missing" >&2; exit 3; }
done
dir=$(mktemp -d)
cat >"$dir/containers.conf" <<'C'
[containers]
# A caller without CAP_SYS_RESOURCE cannot raise limits.
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
C
export CONTAINERS_CONF=$dir/containers.conf
# Below, podman and on_terminal are scripts, for other shells to see them too.
real=$(command -v podman)
mkdir "$dir/bin"
cat >"$dir/bin/podman" <<P
#!/bin/sh
exec $real --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs --cgroup-manager=cgroupfs --events-backend=file "\$@"
P
cat >"$dir/bin/on_terminal" <<'T'
#!/bin/sh
# An input that does not end: at its end script would end the terminal.
f=$(mktemp -u) && mkfifo "$f" && exec 3<>"$f" && rm "$f"
exec script -qec "$*" /dev/null <&3
T
chmod +x "$dir"/bin/*
export PATH=$dir/bin:$PATH dir
cd "$dir" || exit 4 # conmon writes a file "oom" to where it is
trap 'podman rm -fa -t 0 >/dev/null 2>&1; podman pod rm -fa >/dev/null 2>&1; podman rmi -fa >/dev/null 2>&1; umount "$dir"/root/* 2>/dev/null; rm -rf "$dir"' EXIT

mkdir -p "$dir"/rootfs/{bin,proc,sys,dev,tmp,etc}
cp "$busybox" "$dir/rootfs/bin/busybox"
for a in sh true false sleep cat ls id env echo pwd kill stty hostname date test; do ln -s busybox "$dir/rootfs/bin/$a"; done
printf 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' >"$dir/rootfs/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\nmore:x:1001:user\n' >"$dir/rootfs/etc/group"
tar -C "$dir/rootfs" -c . | podman import - localhost/bb >/dev/null 2>&1 || { echo "podman import failed" >&2; exit 4; }

step() { # NAME COMMAND...
	local name=$1 out rc
	shift
	out=$(timeout 120 "$@" 2>&1 </dev/null)
	rc=$?
	printf '%s: status %s\n%s\n' "$name" "$rc" "$out" | tr -d '\r' | sed -E 's/[0-9a-f]{64}/ID/g; s/[0-9a-f]{12}/ID/g'
}
await() { # a condition, at most 30 s
	for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
	return 1
}
logged() { [ "$(podman logs c 2>/dev/null)" = "$1" ]; }

steps() {
	local run="podman --runtime $1"
	step "status" $run run --rm localhost/bb sh -c 'exit 7'
	step "environment" $run run --rm -e A=b -w /tmp localhost/bb sh -c 'echo $A; pwd'
	step "user" $run run --rm -u 1000:1001 localhost/bb id
	step "groups" $run run --rm -u user --group-add 7 localhost/bb id
	step "capabilities" $run run --rm --cap-drop ALL --cap-add KILL localhost/bb sh -c 'while read a b; do case $a in Cap*|NoNew*|Seccomp:) echo $a $b;; esac; done </proc/self/status'
	step "no new privileges" $run run --rm --security-opt no-new-privileges localhost/bb sh -c 'while read a b; do case $a in NoNew*) echo $a $b;; esac; done </proc/self/status'
	step "read-only" $run run --rm --read-only localhost/bb sh -c 'echo x >/x'
	step "volume" $run run --rm -v "$dir/rootfs/etc:/v:ro" localhost/bb sh -c 'ls /v; echo x >/v/x'
	step "tmpfs" $run run --rm --tmpfs /t:size=1m localhost/bb sh -c 'echo x >/t/x; cat /t/x'
	step "masked" $run run --rm localhost/bb sh -c 'cat /proc/kcore | head -c 1; echo 1 >/proc/sysrq-trigger; ls /sys/firmware'
	step "devices" $run run --rm --device /dev/full:/dev/voll localhost/bb sh -c 'ls /dev; echo x >/dev/voll; echo x >/dev/null && cat /dev/null'
	step "sysctl" $run run --rm --sysctl kernel.msgmax=8193 localhost/bb cat /proc/sys/kernel/msgmax
	step "hostname" $run run --rm --hostname box localhost/bb hostname
	step "limits" $run run --rm --memory 64m --pids-limit 33 --cpus 0.5 localhost/bb true
	step "ulimit" $run run --rm --ulimit nofile=99:100 --ulimit nproc=4096:4096 localhost/bb sh -c 'ulimit -n; ulimit -Hn'
	step "stdin" bash -c "echo from outside | $run run --rm -i localhost/bb cat"
	step "terminal" on_terminal "$run run --rm -it localhost/bb sh -c 'test -t 0 && test -t 1 && echo a terminal; ls /dev/console'"
	step "no such program" $run run --rm localhost/bb /no/such | grep -c status
	step "detached" $run run -d --name c localhost/bb sh -c 'trap "echo got it; exit 3" TERM; echo ready; while :; do sleep 0.1; done'
	await logged ready
	step "logs" podman logs c
	step "exec" podman exec c sh -c 'echo inside; exit 4'
	step "exec user" podman exec -u 1000 -w /tmp -e X=y c sh -c 'id; pwd; echo $X'
	step "exec stdin" bash -c 'echo piped | podman exec -i c cat'
	step "exec terminal" on_terminal "podman exec -it c sh -c 'test -t 0 && echo a terminal'"
	step "exec detached" bash -c 'podman exec -d c sh -c "echo x >/tmp/done" && for i in $(seq 100); do podman exec c test -e /tmp/done && exit 0; sleep 0.1; done; exit 1' | grep status
	step "top" bash -c 'podman top c args | sed "s/ *$//" | head -2'
	step "stats" bash -c 'podman stats --no-stream --format "{{.Name}} {{.PIDs}}" c | sed "s/[0-9]*$/N/"'
	step "pause" podman pause c
	step "paused" podman inspect -f '{{.State.Status}}' c
	step "exec while paused" podman exec c true | head -1
	step "unpause" podman unpause c
	step "update" podman update --pids-limit 44 --memory 80m c
	step "updated" bash -c 'cat /sys/fs/cgroup/pids/libpod_parent/libpod-$(podman inspect -f "{{.Id}}" c)/pids.max /sys/fs/cgroup/libpod_parent/libpod-$(podman inspect -f "{{.Id}}" c)/pids.max 2>/dev/null'
	step "kill" podman kill -s TERM c
	step "wait" podman wait c
	step "logs of the end" podman logs c
	step "start again" podman start c
	await logged "$(printf 'ready\ngot it\nready')"
	step "stop" podman stop -t 5 c
	step "code" podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' c
	step "rm" podman rm c
	step "create and rm" bash -c "$run create --name d localhost/bb true >/dev/null && podman init d >/dev/null && podman rm -f -t 0 d"
	step "health" bash -c "$run run -d --name h --health-cmd 'test -e /bin/sh' --health-interval disable localhost/bb sleep 1000 >/dev/null; podman healthcheck run h; echo \$?; podman rm -f -t 0 h" | grep -v "^h\$"
	step "oom" bash -c "$run run --name o --memory 16m --memory-swap 16m localhost/bb sh -c 'x=x; while :; do x=\$x\$x; done'; podman inspect -f '{{.State.ExitCode}}' o; podman rm o" | grep -cE '^137$'
	step "pod" bash -c "podman --runtime $1 pod create --infra=false p >/dev/null && $run run -d --pod p --name q localhost/bb sleep 1000 >/dev/null && podman pod inspect -f '{{.State}} {{.NumContainers}}' p; podman pod rm -f -t 0 p >/dev/null"
	step "$parallel in parallel" bash -c "for i in \$(seq $parallel); do $run run --rm --name p\$i localhost/bb sh -c \"exit \$((i % 7))\" & eval pid\$i=\$!; done; bad=0; for i in \$(seq $parallel); do eval p=\\\$pid\$i; wait \$p; [ \$? = \$((i % 7)) ] || bad=\$((bad + 1)); done; echo \$bad wrong"
	step "left" bash -c 'podman ps -aq | wc -l; find /sys/fs/cgroup -type d -name "libpod-*" | grep -vc conmon'
}

steps "$reference" >"$dir/reference"
steps "$ours" >"$dir/ours"
sed "s|$reference|RUNTIME|g" "$dir/reference" >"$dir/a"
sed "s|$ours|RUNTIME|g" "$dir/ours" >"$dir/b"
echo "$(grep -c ': status' "$dir/b") steps"
if diff -U 2 --label "$(basename "$reference")" --label "$(basename "$ours")" "$dir/a" "$dir/b"; then
	echo "no difference"
	[ -z "${SHOW:-}" ] || cat "$dir/b"
else
	[ -z "${SHOW:-}" ] || cat "$dir/b"
	exit 1
fi
