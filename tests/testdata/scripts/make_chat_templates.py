#!/usr/bin/env python3
"""Renders chat templates with transformers and writes tests/testdata/chat-templates/golden.

The templates next to that folder are ours. Others (--extra) are rendered too, but not copied: a golden names its
template by file name.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import jinja2
import transformers
from transformers.utils import chat_template_utils

from fixtures.conversations import CONTEXTS, NEEDS, Context
from fixtures.tokenizers_tiny import write_json

HERE = Path(__file__).resolve().parent
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)
DEFAULTS: Context = {"tools": None, "documents": None, "add_generation_prompt": False}

# (bos_token, eos_token) by what the file name holds.
TOKENS = {
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "Llama-3": ("<|begin_of_text|>", "<|eot_id|>"),
    "chatml": ("<|endoftext|>", "<|im_end|>"),
    "Qwen": ("<|endoftext|>", "<|im_end|>"),
    "phi3": ("<s>", "<|endoftext|>"),
    "gemma": ("<bos>", "<eos>"),
    "DeepSeek": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "command": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "LFM2": ("<|startoftext|>", "<|im_end|>"),
    "gpt-oss": ("<|startoftext|>", "<|return|>"),
    "SmolLM3": ("<|begin_of_text|>", "<|im_end|>"),
    "Kimi": ("[BOS]", "[EOS]"),
}


class FixedClock(datetime.datetime):
    """What strftime_now sees."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return NOW


def render(template: str, context: Context) -> dict[str, Any]:
    values = dict(context)
    messages = values.pop("messages")
    try:
        rendered, _ = chat_template_utils.render_jinja_template([messages], chat_template=template, **values)
    except jinja2.exceptions.TemplateError as error:
        # Only a message that the template itself raised means something to another engine.
        own = type(error) is jinja2.exceptions.TemplateError
        return {"rendered": None, "error": str(error), "raised_by_template": own}
    except TypeError as error:
        return {"rendered": None, "error": str(error), "raised_by_template": False}
    return {"rendered": rendered[0], "error": None}


def golden(path: Path, committed: bool) -> dict[str, Any]:
    template = path.read_text(encoding="utf-8")
    bos, eos = next((pair for part, pair in TOKENS.items() if part in path.name), ("<s>", "</s>"))
    cases = [
        {"context": name, **render(template, {**DEFAULTS, **context, "bos_token": bos, "eos_token": eos})}
        for name, context in CONTEXTS.items()
        if NEEDS.get(name, "") in template
    ]
    return {
        "template": path.name,
        "committed": committed,
        "source": f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}",
        "now": NOW.isoformat(),
        "bos_token": bos,
        "eos_token": eos,
        "cases": cases,
    }


def text_of(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE.parent / "chat-templates")
    parser.add_argument("--extra", type=Path, action="append", default=[], help="folder of other *.jinja files")
    parser.add_argument("--check", action="store_true", help="compare with what is there, change nothing")
    arguments = parser.parse_args()
    chat_template_utils.datetime = FixedClock

    sources = [(path, True) for path in sorted(arguments.out.glob("*.jinja"))]
    sources += [(path, False) for folder in arguments.extra for path in sorted(folder.glob("*.jinja"))]
    folder = arguments.out / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.check:
        write_json(arguments.out / "contexts.json", {name: {**DEFAULTS, **c} for name, c in CONTEXTS.items()})
    different = []
    for path, committed in sources:
        target = folder / f"{path.stem}.json"
        text = text_of(golden(path, committed))
        if arguments.check and (not target.exists() or target.read_text(encoding="utf-8") != text):
            different.append(target.name)
        elif not arguments.check:
            target.write_text(text, encoding="utf-8")
    print("\n".join(f"differs: {name}" for name in different) or f"{len(sources)} templates")
    raise SystemExit(1 if different else 0)


if __name__ == "__main__":
    main()
