#!/usr/bin/env python3
"""Runs the commands of the README's picture on a private home and draws what they print.

    cargo xtask run                                        # builds what is recorded
    python3 docs/images/record.py target/release           # writes docs/images/terminal.svg

Everything in the picture was printed by the programs; only the lines with a prompt are added.
"""

import html
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

COMMANDS = [
    "airunner start",
    'airunner chat builtin/helper "How do I load a model?"',
    "airunner ps",
    "airunner unload builtin/helper",
    "airunner stop",
]
COLUMNS, LINE_HEIGHT, CHARACTER_WIDTH, MARGIN = 92, 19, 8.4, 16
BACKGROUND, TEXT, PROMPT = "#1b1f27", "#d7dae0", "#7fd0a0"


def record(programs):
    """Each command with a prompt, and what it printed."""
    with tempfile.TemporaryDirectory(prefix="airunner-") as home:
        environment = dict(os.environ, AIRUNNER_HOME=home, COLUMNS=str(COLUMNS), NO_COLOR="1")
        for command in COMMANDS:
            yield "$ " + command
            program, *arguments = shlex.split(command)
            result = subprocess.run(
                [programs / program, *arguments], env=environment, capture_output=True, text=True, check=True
            )
            yield from result.stdout.rstrip("\n").splitlines()


def wrapped(lines):
    for line in lines:
        while len(line) > COLUMNS:
            cut = line.rfind(" ", 0, COLUMNS) + 1 or COLUMNS
            yield line[:cut]
            line = line[cut:]
        yield line


def drawn(lines):
    width = round(COLUMNS * CHARACTER_WIDTH + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    yield f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>'
    yield '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">'
    for number, line in enumerate(lines):
        y = MARGIN + number * LINE_HEIGHT + 14
        color = PROMPT if line.startswith("$ ") else TEXT
        yield f'<text x="{MARGIN}" y="{y}" fill="{color}">{html.escape(line)}</text>'
    yield "</g></svg>"


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    lines = list(wrapped(record(programs)))
    picture = pathlib.Path(__file__).with_name("terminal.svg")
    picture.write_text("\n".join(drawn(lines)) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
