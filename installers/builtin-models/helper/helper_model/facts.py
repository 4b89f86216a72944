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
    keywords: tuple[tuple[Template, ...], ...]
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
    clause: tuple[Template, ...]
    filler: tuple[Template, ...]
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
    keywords = _read("keywords", folder)
    more = _read("more", folder)
    heldout = _read("heldout", folder)
    heldout_followups = heldout.pop("followups")
    intents = [
        Intent(
            id=entry["id"],
            category=category,
            answer=entry["answer"],
            do=_templates(entry, "do"),
            about=_templates(entry, "about"),
            error=_templates(entry, "error"),
            ask=_templates(entry, "ask") + tuple(parse(text) for text in more.pop(entry["id"], [])),
            keywords=tuple(tuple(parse(part) for part in text.split(" + ")) for text in keywords.pop(entry["id"])),
            dev=tuple(entry["dev"]),
            heldout=tuple(heldout.pop(entry["id"], [])),
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
            tuple(heldout_followups.get(entry["after"], {}).get(entry["then"], [])),
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
        clause=_templates(raw, "clause"),
        filler=_templates(raw, "filler"),
        system=_templates(raw, "system"),
        synonyms=tuple(tuple(group) for group in raw["synonyms"]),
    )
    slots = {key: tuple(parse(text) for text in values) for key, values in _read("words", folder).items()}
    facts = Facts(tuple(intents), tuple(followups), frames, slots)
    if unknown := [*keywords, *more, *heldout]:
        raise ValueError(f"wordings for unknown intents: {', '.join(unknown)}")
    _check(facts)
    return facts


def _check(facts: Facts) -> None:
    if len(facts.by_id) != len(facts.intents):
        raise ValueError("two intents have the same id")
    if len({intent.answer for intent in facts.intents}) != len(facts.intents):
        raise ValueError("two intents have the same answer")
    for intent in facts.intents:
        if len(intent.heldout) < 3:
            raise ValueError(f"{intent.id} has less than three held-out questions")
    for followup in facts.followups:
        if not followup.heldout:
            raise ValueError(f"{followup.then} after {followup.after} has no held-out question")
        for intent in (followup.after, followup.then):
            if intent not in facts.by_id:
                raise ValueError(f"a follow-up names the unknown intent {intent}")
