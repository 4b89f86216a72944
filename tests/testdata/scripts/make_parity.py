#!/usr/bin/env python3
"""Makes tests/testdata/parity, or checks what is committed there (--check)."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from fixtures.families import FAMILIES
from fixtures.packages import check, make

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "parity")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this one; may be repeated")
    parser.add_argument("--package", action="append", help="only this one; may be repeated")
    parser.add_argument("--check", action="store_true", help="run the packages in ONNX Runtime, change nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    families = arguments.family or list(FAMILIES)
    if not arguments.check:
        for name in families:
            make(FAMILIES[name], arguments.package, arguments.out, HERE.parent / "chat-templates")
    folders = [path.parent for path in sorted(arguments.out.glob("*/golden.json"))]
    folders = [path for path in folders if path.name.split("-")[0] in families]
    if arguments.package:
        folders = [path for path in folders if path.name in arguments.package]
    wrong = [line for folder in folders for line in check(folder)]
    print("\n".join(wrong) or f"{len(folders)} packages reproduce their goldens")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
