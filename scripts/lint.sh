#!/usr/bin/env bash
# Lints Go and shell; --fix formats Go and C in place, and mends what the linters can mend.
set -euo pipefail
cd "$(dirname "$0")/.."
golangci() { go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 "$@"; }
mapfile -t sh < <(grep -lE '^#!.*\b(ba)?sh\b' -r --include='*.sh' --include=run --exclude-dir=.git --exclude-dir=bin .)
mapfile -t c < <(find bench checkpoint probes \( -name '*.c' -o -name '*.h' \) ! -name vmlinux.h)
if [ "${1-}" = --fix ]; then
	golangci run --fix ./... || true # what is left is for make lint to say
	if command -v clang-format >/dev/null 2>&1; then clang-format -i "${c[@]}"; fi
	exit 0
fi
golangci run ./...
shellcheck "${sh[@]}"
go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 # the workflows, and their steps by shellcheck
# actions are pinned by commit: a tag can be moved
if grep -rnE 'uses: +[^ .#]+@' .github action.yml | grep -vE '@[0-9a-f]{40} # v[0-9.]+$'; then
	echo "lint: these actions are not pinned by commit, with their version as the comment" >&2
	exit 1
fi
