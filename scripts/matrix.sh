#!/usr/bin/env bash
# The matrix of this project: matrix.sh [flags of holdshort matrix, packages]. bin/holdshort is built.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ " $* " == *" --what engines "* ]]; then
	IFS=, read -ra kernels <<<"${KERNELS-}"
	exec scripts/engines-matrix.sh "${kernels[@]}"
fi
floor=()
if command -v gcc >/dev/null 2>&1; then
	gcc -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -nostdlib -static -fno-pic -no-pie -fno-stack-protector \
		-fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -s \
		-I checkpoint/agent/c -o bin/bench-floor bench/c/floor.c
	floor=(--floor bin/bench-floor)
fi
# Some tests need what only this machine has: a row of its own, if KERNELS does not say which.
host=()
[ "$(id -u)" != 0 ] || [ -n "${KERNELS-}" ] || host=(--host)
# The type information of all kernels is in their images: on the host's row the programs are tried against each.
if [ ${#host[@]} != 0 ]; then
	types="$(mktemp -d)"
	trap 'rm -rf "$types"' EXIT
	bin/holdshort vm get
	for image in "${XDG_CACHE_HOME:-$HOME/.cache}"/holdshort/kernels/*-amd64/vmlinux; do
		[ ! -e "$image" ] || ln -s "$image" "$types/$(basename "$(dirname "$image")")"
	done
	export HOLDSHORT_BTF_DIR="$types"
fi
# Tests of our own programs and of what reads results, each of whose steps starts an observer, say nothing of a kernel that
# doctor, fuzz and compare, which are in every guest, do not: only the host's row runs them.
here=(--here ./bench/... --here ./fuzz/... --here ./cmd/... --here ./internal/cmd/... --here ./report/... --here ./scripts/... --here ./vm/...)
# Tests that compile a profile of AppArmor do so in the guest.
tools=()
PATH="$PATH:/usr/sbin:/sbin"
! command -v apparmor_parser >/dev/null || tools=(-t apparmor_parser)
bin/holdshort matrix --short --elsewhere scripts/matrix-elsewhere.txt "${floor[@]}" "${host[@]}" "${here[@]}" "${tools[@]}" "$@"
