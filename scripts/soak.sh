#!/usr/bin/env bash
# Many random launches, each verified: soak.sh [N] [flags of internal/cmd/soak]
set -euo pipefail
cd "$(dirname "$0")/.."
n="${1:-10000}"
shift || true
exec go run ./internal/cmd/soak -n "$n" "$@"
