#!/usr/bin/env python3
"""Writes tests/testdata/parity/tokenizers.json: what the tokenizers library makes of many kinds of text."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer

from fixtures.families import FAMILIES

HERE = Path(__file__).resolve().parent

TEXTS = [
    "",
    " ",
    "   ",
    "a",
    "Hello, world!",
    " leading space",
    "trailing space ",
    "  two  spaces  inside  ",
    "line\nbreaks\n\nand\r\nmore\n",
    "\ttab\tbed",
    "The weather in Paris is 18 degrees and 3.14159 or 1234567890.",
    "don't you'll we've I'M",
    "café naïve Straße Größe",
    "cafe\u0301 combining, caf\u00e9 composed",
    "a\u0323\u0307 and \u1e69",
    "Привет, мир! Ελληνικά",
    "你好，世界。日本語のテキスト 한국어",
    "שלום مرحبا",
    "👍 👍🏽 👩‍👩‍👧‍👦 🇫🇷 ☂️",
    "zero\u200bwidth\u00a0and\u3000wide",
    "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}",
    "fn main() { println!(\"{total}\"); } // <b>&amp;</b>",
    "▁metaspace▁inside",
    "<0x41> looks like a byte",
    "\x00\x01\x7f control",
    "<s>text</s><unk>",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
    "<|user|>\nHi<|end|>\n<|assistant|>\n",
    "<bos><start_of_turn>user\nHi <end_of_turn> \n",
    "<s>[INST]Hi[/INST] there</s>",
    "<think>\nhm\n</think> <tool_call>{}</tool_call>",
    "<|im_end| > broken <|im_",
    "x" * 70,
]


def case(tokenizer: Tokenizer, text: str) -> dict[str, Any]:
    bare = tokenizer.encode(text, add_special_tokens=False).ids
    whole = tokenizer.encode(text, add_special_tokens=True).ids
    return {
        "text": text,
        "ids": bare,
        "ids_with_special": whole,
        "decoded": tokenizer.decode(whole, skip_special_tokens=True),
        "decoded_with_special": tokenizer.decode(whole, skip_special_tokens=False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parity", type=Path, default=HERE.parent / "parity")
    parser.add_argument("--check", action="store_true", help="compare with what is there, change nothing")
    arguments = parser.parse_args()
    parts = []
    for family in FAMILIES:
        file = f"{family}-hf/tokenizer.json"
        tokenizer = Tokenizer.from_file(str(arguments.parity / file))
        lines = ",\n".join("    " + json.dumps(case(tokenizer, text), ensure_ascii=False) for text in TEXTS)
        parts.append(f'  {{"file": "{file}", "cases": [\n{lines}\n  ]}}')
    text = f'{{"source": "tokenizers {tokenizers.__version__}", "tokenizers": [\n' + ",\n".join(parts) + "\n]}\n"
    target = arguments.parity / "tokenizers.json"
    if arguments.check:
        same = target.read_text(encoding="utf-8") == text
        print("the tokenizers agree" if same else f"differs: {target.name}")
        raise SystemExit(0 if same else 1)
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
