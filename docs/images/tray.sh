#!/bin/sh
# Takes the screenshots of docs/tray.md anew: runs the tests of the panel and copies their pictures.
set -eu
cd "$(dirname "$0")/../.."
cargo build --workspace --bins --lib
cargo test -p airunner-tests --test tray panel::every_state
pictures="${CARGO_TARGET_DIR:-target}/tmp/tray"
for theme in light dark; do
    for state in idle loading working warning paused stopped; do
        # The part with the menu, and after a crash with its notification; the screen is black.
        case $state in
            warning) width=640 ;;
            stopped) width=330 ;;
            *) width=390 ;;
        esac
        convert "$pictures/$theme/$state.png" -crop "${width}x420+0+0" +repage -bordercolor black -border 1 \
            -trim +repage -fill "#7f8794" -opaque black -strip -colors 64 "docs/images/tray-$state-$theme.png"
    done
done
