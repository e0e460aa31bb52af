#!/usr/bin/env bash
# A campaign of fuzz, or more of one: fuzz.sh FILE [flags of holdshort fuzz]. FILE gets the results; what is in it already
# is gone on with if this machine is the same, and kept beside it if not. bin/holdshort is built.
set -euo pipefail
cd "$(dirname "$0")/.."
file="${1:?the file for results}"
shift
mkdir -p "$(dirname "$file")"
if [ -s "$file" ]; then
	status=0
	bin/holdshort fuzz --resume "$file" "$@" || status=$?
	[ "$status" = 64 ] || exit "$status"
	mv "$file" "${file%.jsonl}-$(date +%s).jsonl"
fi
exec bin/holdshort fuzz --out "$file" "$@"
