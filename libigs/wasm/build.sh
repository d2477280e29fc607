#!/bin/sh
# Builds igs.wasm: build.sh OUT. Needs clang and wasm-ld (Debian: clang, lld) of one version; CLANG names another compiler.
# The same version gives the same bytes: nothing of the machine is in them.
set -eu
cd "$(dirname "$0")/.."
sources=$(ls src/*.c wasm/*.c | LC_ALL=C sort | grep -v '^src/path\.c$')
# shellcheck disable=SC2086
exec "${CLANG:-clang}" --target=wasm32 -std=c11 -Oz -ffreestanding -nostdlibinc -nostdlib -DIGS_FREESTANDING \
	-mbulk-memory -mnontrapping-fptoint -msign-ext -ffp-contract=off -fno-math-errno -fvisibility=hidden -Wall -Wextra \
	-Wl,--no-entry -Wl,--gc-sections -Wl,--strip-all -Wl,-z,stack-size=131072 -o "$1" $sources
