#!/usr/bin/env bash
# The same in a guest, whose cgroups are of version 2: guest.sh KERNEL NAME=RUNTIME... [-- PROGRAM...]
#
# It needs what validate.sh needs, but for root, and what "holdshort vm exec" does
# (docs/kernels.md). HOLDSHORT is that command, TOOLS a checkout of runtime-tools
# that was prepared (PREPARE=1 TOOLS=... validate.sh); without, one is made. Runtimes
# are given by path; TAKE are further programs, such as the one that a script calls.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 1 ] || { echo "usage: $0 KERNEL NAME=RUNTIME... [-- PROGRAM...]" >&2; exit 64; }
kernel=$1
shift
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tools=${TOOLS:-}
if [ -z "$tools" ]; then
	OUT=$tmp PREPARE=1 "$here/validate.sh"
	tools=$tmp/runtime-tools
fi
take=() # what goes into the guest
for a in "$@" ${TAKE-}; do
	case $a in
	--) break ;;
	*=without-v2:*) echo "$0: $a: there is only version 2 in the guest" >&2; exit 64 ;;
	esac
	take+=(-t "$(command -v "${a#*=}")")
done
for f in bin runtimetest rootfs-amd64.tar.gz; do take+=(-f "$tools/$f"); done
for t in tar gzip basename dirname uuidgen; do command -v $t >/dev/null && take+=(-t "$t"); done
cd "$here"
"${HOLDSHORT:-holdshort}" vm exec --kernel "$kernel" --memory "${MEMORY:-4096}" --time-limit "${LIMIT:-2h}" "${take[@]}" -e "TOOLS=$tools" -- \
	"$here/validate.sh" "$@"
