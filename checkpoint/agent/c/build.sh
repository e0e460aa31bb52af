#!/bin/sh
# Builds the agent for both architectures; the result is the same bytes for the
# same clang and lld (Debian 12: 14.0.6).
set -eu
cd "$(dirname "$0")"
flags="-std=gnu11 -O2 -Wall -Wextra -Werror -Wno-unused-parameter -ffreestanding -fno-builtin -nostdlib -static
 -fno-pic -fno-pie -fno-stack-protector -fomit-frame-pointer -fno-asynchronous-unwind-tables -fno-ident -fuse-ld=lld
 -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,--no-rosegment -Wl,--gc-sections -Wl,-s"
for arch in amd64:x86_64 arm64:aarch64; do
	# shellcheck disable=SC2086 # flags are words
	${CLANG:-clang} --target="${arch#*:}-linux-gnu" $flags -o "../agent_linux_${arch%%:*}.elf" agent.c spawn.c reap.c report.c child.c init.c
done
