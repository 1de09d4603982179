#!/usr/bin/env bash
# Tests this crate: a query on two executors, one of which is killed. Half an hour on
# two cores, most of it for compiling, and 4 GB of disk.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../../../target}"
export CARGO_INCREMENTAL=0

cargo fmt --check
(cd ../../.. && cargo build --locked -p mobilenet-cli)
export MOBILENET_PROGRAM="$CARGO_TARGET_DIR/debug/mobilenet"
cargo test --locked -- --nocapture
