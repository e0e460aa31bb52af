#!/usr/bin/env bash
# Rebuilds everything generated in a copy of the tree and compares: the tree itself is never touched.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/tree"
tar --exclude=./.git --exclude=./bin -cf - . | tar -xf - -C "$tmp/tree"
# Removed first, so that a step which builds nothing cannot pass.
mapfile -t files < <(find . -name '*_bpfel.o' -o -name '*_bpfel.go' -o -name '*_bpf_*.o' -o -name 'agent_linux_*.elf' | sort)
[ ${#files[@]} -gt 0 ] || { echo "verify-generated: found no generated file" >&2; exit 1; }
(cd "$tmp/tree" && rm -f -- "${files[@]}" && scripts/generate.sh >"$tmp/log" 2>&1) || { cat "$tmp/log" >&2; exit 1; }
if ! diff -rq --exclude=.git --exclude=bin . "$tmp/tree"; then
	echo "verify-generated: these are not what their sources build with $(clang-14 --version | head -n 1): run 'make generate' and commit" >&2
	exit 1
fi
echo "generated files: ${#files[@]}, all as their sources build them"
