#!/usr/bin/env bash
# The steps of action.yml: builds holdshort and verifies an engine as root. It reads CONFIG, ENGINE or COMMAND,
# ARGUMENTS and REPORT from the environment; `make action` runs it here.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
: "${CONFIG:?is the config.json}" "${REPORT:=holdshort-report.json}"
bin="$(mktemp -d)/holdshort"
trap 'rm -rf "$(dirname "$bin")"' EXIT
CGO_ENABLED=0 go -C "$here" build -trimpath -o "$bin" ./cmd/holdshort
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
read -r -a arguments <<<"${ARGUMENTS-}"
args=(verify --config "$CONFIG" --report "$REPORT" "${arguments[@]}")
if [ -n "${ENGINE-}" ]; then
	args+=(--engine "$ENGINE")
else
	: "${COMMAND:?or ENGINE is needed}"
	args+=(-- sh -c "$COMMAND")
fi
# What this shell was given is not the engine's: it would be found in its workload.
for fd in /proc/self/fd/*; do
	n="${fd##*/}"
	[ "$n" -le 2 ] || [ "$n" = 255 ] || eval "exec $n>&-"
done
status=0
"${root[@]}" "$bin" "${args[@]}" || status=$?
if [ -n "${GITHUB_OUTPUT-}" ]; then
	echo "report=$REPORT" >>"$GITHUB_OUTPUT"
fi
exit "$status"
