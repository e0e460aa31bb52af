#!/usr/bin/env bash
# A short guest: guest.sh [KERNEL]. The tests of another module and some of our own, on a kernel other than this one's.
set -euo pipefail
cd "$(dirname "$0")/.."
kernel="${1:-6.1}"
holdshort="$PWD/bin/holdshort"
export CGO_ENABLED=0
"$holdshort" vm get "$kernel"
exec="$holdshort vm exec --kernel $kernel --"
WANT_KERNEL="$kernel." go -C examples/vmtest test -count=1 -exec "$exec" ./...
go test -count=1 -exec "$exec" ./checkpoint/agent ./harness/engine
"$holdshort" vm exec --kernel "$kernel" --no-dir -- holdshort run --ns user,mnt,pid,net,uts,ipc,cgroup --cap-drop ALL --no-new-privs -- /bin/true
