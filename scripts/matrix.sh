#!/usr/bin/env bash
# The matrix of this project: matrix.sh [flags of holdshort matrix, packages]. bin/holdshort is built.
set -euo pipefail
cd "$(dirname "$0")/.."
floor=()
if command -v gcc >/dev/null 2>&1; then
	gcc -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -nostdlib -static -fno-pic -no-pie -fno-stack-protector \
		-fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -s \
		-I checkpoint/agent/c -o bin/bench-floor bench/c/floor.c
	floor=(--floor bin/bench-floor)
fi
exec bin/holdshort matrix "${floor[@]}" "$@"
