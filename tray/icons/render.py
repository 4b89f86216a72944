#!/usr/bin/env python3
"""Renders the icons of the tray from their SVG sources, with rsvg-convert (Debian: librsvg2-bin).

    python3 tray/icons/render.py

Every state is drawn twice, on a grid of 16 and on one of 22, so that its edges lie on whole
pixels: the first gives 16, 32 and 48 pixels, the second 22 and, with a pixel of margin, 24.
The pictures are committed, so that building the program needs no renderer.
"""

import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent
STATES = ["idle", "working", "loading", "warning", "paused", "stopped"]


def render(source: str, size: int, target: pathlib.Path) -> None:
    command = ["rsvg-convert", "--width", str(size), "--height", str(size), "--output", str(target)]
    subprocess.run(command, input=source.encode(), check=True)


for state in STATES:
    small = (HERE / f"{state}-16.svg").read_text()
    middle = (HERE / f"{state}-22.svg").read_text()
    with_margin = middle.replace('viewBox="0 0 22 22"', 'viewBox="-1 -1 24 24"')
    for size, source in [(16, small), (22, middle), (24, with_margin), (32, small), (48, small)]:
        render(source, size, HERE / f"{state}-{size}.png")
