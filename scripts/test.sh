#!/usr/bin/env bash
# Runs the tests and reports: test.sh [go test flags] [packages]
set -euo pipefail
cd "$(dirname "$0")/.."
packages=()
flags=()
for arg in "$@"; do
	case $arg in -*) flags+=("$arg") ;; *) packages+=("$arg") ;; esac
done
[ ${#packages[@]} -gt 0 ] || packages=(./...)
# One package at a time: several of them count what the whole machine has (processes, cgroups, mounts).
# Whoever runs this may ignore signals, as nohup(1) does, and every workload would be found to inherit that.
exec env --default-signal go run ./scripts/testreport -p=1 -count=1 -timeout=15m "${flags[@]}" "${packages[@]}"
