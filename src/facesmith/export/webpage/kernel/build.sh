#!/usr/bin/env bash
# Builds kernel.wasm from kernel.c. The same compiler gives the same bytes.
# Needs Debian's clang-14 and lld-14: apt install clang-14 lld-14
set -euo pipefail
cd "$(dirname "$0")"
clang-14 --target=wasm32 -msimd128 -O3 -std=c11 -Wall -Werror -ffp-contract=off -nostdlib -ffreestanding -fno-builtin \
    -Wl,--no-entry -Wl,--import-memory -Wl,--strip-all -Wl,-z,stack-size=16384 -fuse-ld=/usr/bin/wasm-ld-14 \
    -o "${1:-kernel.wasm}" kernel.c
