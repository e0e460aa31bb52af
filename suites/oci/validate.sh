#!/usr/bin/env bash
# Runs the validation programs of the OCI's runtime-tools against runtimes and
# prints a table: program, and for each runtime how it went.
#
#   suites/oci/validate.sh NAME=RUNTIME [NAME=RUNTIME...] [-- PROGRAM...]
#
# PASS: every assertion held in one of three attempts (the programs race with what
# they start). PASS (0): it has no assertions, complains only, and did not. FAIL n/m:
# n of m assertions did not hold. ERROR: it ended without a verdict. It needs root,
# go and the module github.com/opencontainers/runtime-tools at REVISION, which go
# downloads, or TOOLS, a checkout of it.
#
# Each program runs in a mount namespace of its own, since runtimes leave mounts
# behind (linux_ns_itype), and without the cgroups that another has left.
#
# A runtime that cannot work beside a version 2 hierarchy that has controllers
# (crun on a hybrid machine) is given as NAME=without-v2:RUNTIME; its programs
# run where that hierarchy is not mounted.
set -uo pipefail
revision=${REVISION:-v0.9.1-0.20251205004911-5e639034dcdc}
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"
names=() runtimes=() programs=()
while [ $# -gt 0 ]; do
	case $1 in
	--) shift; programs=("$@"); break ;;
	*=*) names+=("${1%%=*}"); runtimes+=("${1#*=}") ;;
	*) echo "usage: $0 NAME=RUNTIME... [-- PROGRAM...]" >&2; exit 64 ;;
	esac
	shift
done
[ ${#names[@]} -gt 0 ] || [ -n "${PREPARE-}" ] || { echo "usage: $0 NAME=RUNTIME... [-- PROGRAM...]" >&2; exit 64; }

tools=${TOOLS:-}
if [ -z "$tools" ]; then
	tools=$out/runtime-tools
	dir=$(cd "$out" && go mod download -json "github.com/opencontainers/runtime-tools@$revision" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
	[ -n "$dir" ] || { echo "runtime-tools cannot be downloaded" >&2; exit 3; }
	cp -r "$dir" "$tools" && chmod -R u+w "$tools"
fi
cd "$tools" || exit 3
export CGO_ENABLED=0 GOFLAGS=-mod=mod
[ -x runtimetest ] || go build -trimpath -ldflags='-s -w' -o runtimetest ./cmd/runtimetest || exit 4
mkdir -p bin
for d in validation/*/; do
	n=$(basename "$d")
	[ ! -d "$d" ] || [ "$n" = util ] || [ -x "bin/$n" ] || go build -trimpath -ldflags='-s -w' -o "bin/$n" "./$d" || exit 4
done
[ -z "${PREPARE-}" ] || exit 0 # they are in TOOLS now
[ ${#programs[@]} -gt 0 ] || mapfile -t programs < <(ls bin)

attempt() { # RUNTIME PROGRAM: prints the outcome
	local runtime=$1 log=$3 program=$2 rc bad all before=:
	case $runtime in
	without-v2:*)
		runtime=${runtime#without-v2:}
		before='umount -a -t cgroup2'
		;;
	esac
	# What is left in a cgroup has limits that stand in the way of others.
	rmdir /sys/fs/cgroup/{,*/}{cgrouptest,testdir{/cgrouptest{/container,},}} 2>/dev/null
	RUNTIME=$runtime timeout -k 5 120 unshare -m --propagation private -- sh -c "$before; exec bin/$program" >"$log.tap" 2>"$log.err" </dev/null
	rc=$?
	bad=$(grep -c '^not ok' "$log.tap")
	all=$(grep -cE '^(not )?ok' "$log.tap")
	if [ "$bad" -gt 0 ]; then
		echo "FAIL $bad/$all"
	elif [ "$rc" -ne 0 ]; then
		echo "ERROR $rc"
	elif [ "$all" -gt 0 ]; then
		echo PASS
	elif grep -q '"error"' "$log.tap"; then
		echo "FAIL 0/0"
	elif [ ! -s "$log.tap" ] || grep -q '^1\.\.0' "$log.tap"; then
		echo "PASS (0)"
	else
		echo "ERROR empty"
	fi
}

printf '%-36s' program
printf '%-14s' "${names[@]}"
echo
status=0
for p in "${programs[@]}"; do
	printf '%-36s' "$p"
	for i in "${!names[@]}"; do
		mkdir -p "$out/${names[$i]}"
		for _ in 1 2 3; do
			r=$(attempt "${runtimes[$i]}" "$p" "$out/${names[$i]}/$p")
			case $r in PASS*) break ;; esac
		done
		printf '%-14s' "$r"
		case $i$r in 0PASS*) ;; 0*) status=1 ;; esac
	done
	echo
done
echo "logs: $out"
exit $status
