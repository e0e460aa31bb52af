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

"$HOLDSHORT" fuzz --seed "$SEED" -n "$CASES" --out "$work/whole.jsonl" -q >/dev/null || [ $? -le 3 ]
# Times are another in each run; all else is the same.
merged() { "$HOLDSHORT" report "$1" --merge - -q --exit-zero | grep -v '"timeline":'; }
merged "$RESULTS" >"$work/a"
merged "$work/whole.jsonl" >"$work/b"
"$HOLDSHORT" report "$RESULTS" ${HTML:+--html "$HTML"} --exit-zero
if ! cmp "$work/a" "$work/b"; then
	diff "$work/a" "$work/b" | cut -c1-300 | head -n 20
	exit 1
fi
echo "16 tasks of an array and one process: the same $(wc -l <"$work/a") lines"
