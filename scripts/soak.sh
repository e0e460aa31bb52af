#!/usr/bin/env bash
# Many launches: the tests named *Soak* read how many from HOLDSHORT_SOAK.
set -euo pipefail
cd "$(dirname "$0")/.."
export HOLDSHORT_SOAK="${1:-10000}"
exec go run ./scripts/testreport -p=1 -count=1 -timeout=0 -run=Soak ./...
