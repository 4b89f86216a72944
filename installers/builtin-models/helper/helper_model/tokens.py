"""The tokenizer and the chat template."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .data import Generator

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [END_OF_TEXT, IM_START, IM_END]
"""The special tokens; their ids are 0, 1 and 2."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def message(role: str, content: str) -> str:
    """One message as the chat template writes it."""
    return f"{IM_START}{role}\n{content}{IM_END}\n"


def prompt(messages: list[tuple[str, str]]) -> str:
    """Messages, and the start of the answer."""
    return "".join(message(role, content) for role, content in messages) + f"{IM_START}assistant\n"


def train_tokenizer(generator: Generator, vocab_size: int, samples: int) -> Tokenizer:
    """Byte-level BPE, trained on generated questions and all answers."""

    def texts() -> Iterator[str]:
        for number, turn in enumerate(islice(generator.turns(), samples)):
            yield turn.question
            if number % 4 == 0:
                yield turn.intent.answer
        for _ in range(samples // 50):
            yield generator.system() or ""

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.get_vocab_size()} tokens instead of {vocab_size}")
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer from its ``tokenizer.json``."""
    return Tokenizer.from_file(str(path))
