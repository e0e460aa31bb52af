#!/usr/bin/env bash
# Engines of several Debian suites, judged on this kernel and in guests: engines-matrix.sh [KERNEL]...
# Without kernels: this machine's (as root), and 6.12. Each engine runs with its suite as the root of a mount namespace.
# SUITES="bullseye sid", N=random requests for each, TREES=directory where the suites are kept.
set -euo pipefail
cd "$(dirname "$0")/.."
suites="${SUITES:-bullseye bookworm trixie sid}"
trees="${TREES:-${XDG_CACHE_HOME:-$HOME/.cache}/holdshort/engines}"
mkdir -p "$trees" bin
CGO_ENABLED=0 go build -trimpath -o bin/engines ./internal/cmd/engines
bin/engines -fetch "$trees" -suites "${suites// /,}"
dirs=""
for s in $suites; do dirs="$dirs${dirs:+,}$trees/$s"; done

if [ $# = 0 ]; then
	set -- 6.12
	[ "$(id -u)" != 0 ] || set -- host "$@"
fi
status=0
for kernel in "$@"; do
	echo
	echo "== $kernel =="
	if [ "$kernel" = host ]; then
		bin/engines -no-own -trees "$dirs" -n "${N:-0}" || status=$?
		continue
	fi
	# A suite at a time: they are in the guest's memory.
	work="$(mktemp -d)"
	cp bin/engines "$work/"
	for s in $suites; do
		(cd "$work" && "$OLDPWD/bin/holdshort" vm exec -k "$kernel" --memory 2048 --time-limit 30m -f "$trees/$s:/trees/$s" \
			-t busybox -t unshare -t pivot_root -t mount -t umount -t setarch -t taskset -t nice -- \
			"$work/engines" -no-own -trees "/trees/$s" -n "${N:-0}") || status=$?
	done
	rm -rf "$work"
done
exit "$status"
