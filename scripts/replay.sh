#!/usr/bin/env bash
# Replays all findings in a directory: replay.sh DIR. Nothing there, or no finding, is no error. bin/holdshort is built.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(grep -ls '"minimal":' "${1:?directory}"/*.jsonl || true)
if [ ${#files[@]} = 0 ]; then
	echo "no findings in $1"
	exit 0
fi
exec bin/holdshort replay "${files[@]}"
