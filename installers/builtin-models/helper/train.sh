#!/bin/sh
# Train, export and evaluate, with the settings of the committed package.
# The environment only makes it faster: memory is kept instead of being returned
# to the system after every step, and waiting threads do not spin.
set -eu
cd "$(dirname "$0")"
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
export OMP_WAIT_POLICY=passive
PYTHON="${PYTHON:-python3}"
"$PYTHON" -m helper_model.train "$@"
"$PYTHON" -m helper_model.export
"$PYTHON" -m helper_model.evaluate
