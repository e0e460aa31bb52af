#!/usr/bin/env bash
# Builds the contestants and runs them against each other: bench.sh [-short] [other flags of ./bench]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh bench
mkdir -p bin
tiny() { # OUTPUT SOURCE: static, without libc, with as few mappings as a program can have
	gcc -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -nostdlib -static -fno-pic -no-pie -fno-stack-protector \
		-fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -s \
		-I checkpoint/agent/c -o "$1" "$2"
}
tiny bin/bench-floor bench/c/floor.c
tiny bin/bench-true bench/c/true.c
# Built, not `go run`: the go command would sit between the terminal and what is measured.
go build -trimpath -o bin/bench ./bench
case " $* " in *" -shim "*) CGO_ENABLED=0 go build -trimpath -o bin/holdshort ./cmd/holdshort ;; esac
exec bin/bench -floor bin/bench-floor -workload bin/bench-true "$@"
