#!/usr/bin/env bash
# Rebuilds everything generated in a copy of the tree and compares: the tree itself is never touched.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/committed"
tar --exclude=./.git --exclude=./bin -cf - . | tar -xf - -C "$tmp/committed"
cp -a "$tmp/committed" "$tmp/rebuilt"
cd "$tmp/rebuilt"
# Removed first, so that a step which builds nothing cannot pass.
mapfile -t files < <(find . -name '*_linux_*.elf' -o -name '*_bpfel.go' -o -name '*_bpfel.o' | sort)
[ ${#files[@]} -gt 0 ] || { echo "verify-generated: found no generated file" >&2; exit 1; }
rm -f -- "${files[@]}"
scripts/generate.sh >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }
if ! diff -rq "$tmp/committed" "$tmp/rebuilt"; then
	echo "verify-generated: not what the sources build with $(clang-14 --version | head -n 1): run 'make generate'" >&2
	exit 1
fi
printf 'as their sources build them: %s\n' "${files[@]#./}"
