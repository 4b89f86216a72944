"""Where things are; everything is relative to this folder of the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder ``installers/builtin-models/helper``."""

FACTS = ROOT / "facts"
"""What the helper knows and how people ask for it (TOML)."""

BUILD = ROOT / "build"
"""Checkpoint, tokenizer and training log; not committed."""

PACKAGE = ROOT / "package"
"""The committed model package."""

HELDOUT = ROOT / "heldout.jsonl"
"""The committed held-out questions, generated from the facts."""

EVALUATION = ROOT / "evaluation.json"
"""The committed result of ``evaluate`` on the committed package."""
