#!/usr/bin/env bash
# One workload under nearly every kind of constraint, and the report of what held. bin/holdshort has been built.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck disable=SC2054 # the commas are holdshort's
flags=(--ns user,mnt,pid,net,uts,ipc,cgroup,time --hostname demo --proc --loopback
	--cap-drop ALL --no-new-privs --seccomp default --rlimit nofile=64 --umask 077)
if [ "$(id -u)" = 0 ]; then
	cgroup=/sys/fs/cgroup
	[ -e "$cgroup/cgroup.controllers" ] || cgroup=/sys/fs/cgroup/unified
	# shellcheck disable=SC2054
	flags+=(--uid-map 0:100000:65536 --gid-map 0:100000:65536 --user 0:0
		--cgroup "$cgroup/holdshort-demo" --veth "eth0:hs$$:192.0.2.2/24:192.0.2.1/24" --route default,192.0.2.1)
else
	echo "demo: not root: no cgroup, no network device, ids limited to yours, and the kernel cannot be asked" >&2
fi
# shellcheck disable=SC2016 # for the shell of the workload
workload='id; hostname; ip -brief address 2>/dev/null || cat /proc/net/dev; grep -E "^(Cap.*|NoNewPrivs|Seccomp):" /proc/self/status'

set -x
exec bin/holdshort run "${flags[@]}" -- /bin/sh -c "$workload"
