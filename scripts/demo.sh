#!/usr/bin/env bash
# One workload under every kind of constraint. bin/holdshort has been built.
set -euo pipefail
cd "$(dirname "$0")/.."

cgroup=/sys/fs/cgroup
[ -e "$cgroup/cgroup.controllers" ] || cgroup=/sys/fs/cgroup/unified

set -x
exec bin/holdshort run \
	--ns user,mnt,pid,net,uts,ipc,cgroup,time --hostname demo \
	--uid-map 0:100000:65536 --gid-map 0:100000:65536 --uid 0 --gid 0 \
	--cap-drop ALL --no-new-privs --seccomp default \
	--cgroup "$cgroup/holdshort-demo" \
	--link veth:eth0:hs-demo:10.99.0.2/24 \
	-- /bin/sh -c 'id; hostname; ip -brief address'
