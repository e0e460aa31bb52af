#!/usr/bin/env bash
# An array of 16 tasks on a cluster of one node, and the same campaign in one
# process: both must come to the same. CASES (default 1024) and SEED may be set.
set -euo pipefail
cd "$(dirname "$0")/../.."
export SEED=${SEED-7} CASES=${CASES-1024}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOLDSHORT=$work/holdshort RESULTS=$work/parts WORK=$work
CGO_ENABLED=0 go build -o "$HOLDSHORT" ./cmd/holdshort

# shellcheck disable=SC2016 # it is the inner shell that expands it
examples/slurm/cluster.sh bash -c '
	set -e
	sbatch --wait --output="$WORK/%a.log" examples/slurm/fuzz.sbatch || { tail -n 5 "$WORK"/*.log; exit 1; }
'
tail -q -n 2 "$work"/*.log
[ "$(find "$RESULTS" -name '*.jsonl' | wc -l)" = 16 ]

"$HOLDSHORT" fuzz --seed "$SEED" -n "$CASES" --max-findings 0 --out "$work/whole.jsonl" -q >/dev/null || [ $? -le 3 ]
"$HOLDSHORT" report "$RESULTS" --json --exit-zero >"$work/parts.json"
"$HOLDSHORT" report "$work/whole.jsonl" --json --exit-zero >"$work/whole.json"
"$HOLDSHORT" report "$RESULTS" ${HTML:+--html "$HTML"} --exit-zero
go run ./examples/slurm/same "$work/parts.json" "$work/whole.json"
