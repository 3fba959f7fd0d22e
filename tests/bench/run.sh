#!/usr/bin/env bash
# Measures dupr beside its peers: tests/bench/run.sh [ARGUMENTS OF run.py...], for instance --workload mixed --scale 0.25
#
# The harness lies beside the checkout (../shared/bench), or where DUPR_BENCH_DIR says.
set -euo pipefail
cd "$(dirname "$0")/../.."
bench=${DUPR_BENCH_DIR:-../shared/bench}
if [ ! -f "$bench/run.py" ]; then
  echo "tests/bench/run.sh: no harness in $bench; set DUPR_BENCH_DIR" >&2
  exit 2
fi
cargo build --release --locked
exec python3 "$bench/run.py" --dupr target/release/dupr --dupr-prefix duplicity "$@"
