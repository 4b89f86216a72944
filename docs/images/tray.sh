#!/bin/sh
# Takes the screenshots of docs/tray.md anew: runs the tests of the panel and copies their pictures.
set -eu
cd "$(dirname "$0")/../.."
cargo build --workspace --bins --lib
cargo test -p airunner-tests --test tray panel::every_state
pictures="${CARGO_TARGET_DIR:-target}/tmp/tray"
for theme in light dark; do
    for state in idle loading working warning stopped; do
        # The part with the menu; the screen behind it is black.
        convert "$pictures/$theme/$state.png" -crop 390x420+0+0 +repage -bordercolor black -border 1 \
            -trim +repage -fill "#7f8794" -opaque black -strip -colors 64 "docs/images/tray-$state-$theme.png"
    done
done
