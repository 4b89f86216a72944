"""The knowledge of the helper: intents, answers and wordings, read from ``facts/``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from . import paths
from .templates import Template, parse

CATEGORIES = ("product", "smalltalk", "general")
"""One file of intents each."""

FALLBACK = "fallback"
"""The intent of everything that the helper does not know."""


@dataclass(frozen=True)
class Intent:
    """One thing to ask for, its answer, and the wordings that ask for it."""

    id: str
    category: str
    answer: str
    do: tuple[Template, ...]
    about: tuple[Template, ...]
    error: tuple[Template, ...]
    ask: tuple[Template, ...]
    dev: tuple[str, ...]
    heldout: tuple[str, ...]


@dataclass(frozen=True)
class FollowUp:
    """A question whose meaning depends on the intent answered just before."""

    after: str
    then: str
    ask: tuple[Template, ...]
    dev: tuple[str, ...]
    heldout: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """How phrases become questions, and what surrounds them."""

    do: tuple[Template, ...]
    about: tuple[Template, ...]
    error: tuple[Template, ...]
    prefix: tuple[Template, ...]
    suffix: tuple[Template, ...]
    system: tuple[Template, ...]
    synonyms: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Facts:
    """All of ``facts/``."""

    intents: tuple[Intent, ...]
    followups: tuple[FollowUp, ...]
    frames: Frames
    slots: dict[str, tuple[Template, ...]]

    @cached_property
    def by_id(self) -> dict[str, Intent]:
        """The intents by their id."""
        return {intent.id: intent for intent in self.intents}

    def category(self, name: str) -> list[Intent]:
        """The intents of one category, in the order of the file."""
        return [intent for intent in self.intents if intent.category == name]


def _templates(entry: dict[str, Any], key: str) -> tuple[Template, ...]:
    return tuple(parse(text) for text in entry.get(key, []))


def _read(name: str, folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))


def load(folder: Path = paths.FACTS) -> Facts:
    """Read and check all facts; raises ``ValueError`` on a contradiction."""
    intents = [
        Intent(
            id=entry["id"],
            category=category,
            answer=entry["answer"],
            do=_templates(entry, "do"),
            about=_templates(entry, "about"),
            error=_templates(entry, "error"),
            ask=_templates(entry, "ask"),
            dev=tuple(entry["dev"]),
            heldout=tuple(entry["heldout"]),
        )
        for category in CATEGORIES
        for entry in _read(category, folder)["intent"]
    ]
    followups = [
        FollowUp(
            entry["after"],
            entry["then"],
            _templates(entry, "ask"),
            tuple(entry["dev"]),
            tuple(entry["heldout"]),
        )
        for entry in _read("followups", folder)["followup"]
    ]
    raw = _read("frames", folder)
    frames = Frames(
        do=_templates(raw, "do"),
        about=_templates(raw, "about"),
        error=_templates(raw, "error"),
        prefix=_templates(raw, "prefix"),
        suffix=_templates(raw, "suffix"),
        system=_templates(raw, "system"),
        synonyms=tuple(tuple(group) for group in raw["synonyms"]),
    )
    slots = {key: tuple(parse(text) for text in values) for key, values in _read("words", folder).items()}
    facts = Facts(tuple(intents), tuple(followups), frames, slots)
    _check(facts)
    return facts


def _check(facts: Facts) -> None:
    if len(facts.by_id) != len(facts.intents):
        raise ValueError("two intents have the same id")
    if len({intent.answer for intent in facts.intents}) != len(facts.intents):
        raise ValueError("two intents have the same answer")
    for followup in facts.followups:
        for intent in (followup.after, followup.then):
            if intent not in facts.by_id:
                raise ValueError(f"a follow-up names the unknown intent {intent}")
