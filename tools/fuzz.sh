#!/usr/bin/env bash
# An hour of fuzzing, shared out among the targets; a finding ends its target's share and fails the whole.
set -uo pipefail
root=$(pwd)
mkdir -p .unfinished/fuzz && cd .unfinished/fuzz || exit 1
found=0
for target in rows masks shards pictures hashes; do
  PYTHONPATH=$root nice -n 19 python -m tools.fuzz_readers $target -max_total_time="${SECONDS_EACH:-720}" || found=1
done
exit $found
