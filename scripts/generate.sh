#!/usr/bin/env bash
# Rebuilds the committed generated files. The same clang gives the same bytes, so its version is fixed.
set -euo pipefail
cd "$(dirname "$0")/.."
export CLANG="${CLANG:-clang-14}" BPF2GO_CC="${BPF2GO_CC:-clang-14}" BPF2GO_STRIP="${BPF2GO_STRIP:-llvm-strip-14}"
checkpoint/agent/c/build.sh
harness/witness/c/build.sh
go generate ./probes/...
