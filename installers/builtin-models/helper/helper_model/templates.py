"""A small template language for questions.

``[a|b|]`` stands for one of the alternatives (one may be empty), ``{slot}`` for
one of the fillers of that slot, and ``{}`` (in frames) for a phrase; ``{s}`` and
``{ing}`` are the phrase with its first word as in "starts" and "starting".
Fillers may hold templates again. A parsed template can be *sampled*, to make training
questions, and turned into a *regular expression*, to prove that no training
template can make a given held-out question.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONSONANTS = "bcdfghjklmnprstvwz"
VOWELS = "aeiou"
DOUBLED = {"stop", "get", "put", "run", "set", "begin", "quit", "shut", "let", "cut", "skip", "cap", "drop", "cancel",
           "tap", "plan", "swim", "win", "rob", "hit", "sit", "unset", "kidnap", "wrap", "grab"}  # fmt: skip
"""Verbs whose last letter is doubled before "ing"."""
PHRASE_SLOTS = ("", "s", "ing")
"""The slots of a frame that stand for its phrase."""
NONSENSE = "nonsense"
"""The slot that is filled with made-up words."""


@dataclass(frozen=True)
class Choice:
    """``[a|b|c]``."""

    options: tuple["Template", ...]


@dataclass(frozen=True)
class Slot:
    """``{name}``; the empty name is the phrase of a frame."""

    name: str


Template = tuple["str | Choice | Slot", ...]
Slots = Mapping[str, Sequence[Template]]


def parse(text: str) -> Template:
    """Parse one template; raises ``ValueError`` where brackets do not match."""
    template, end = _parse(text, 0, "")
    if end != len(text):
        raise ValueError(f"unexpected '{text[end]}' in template: {text}")
    return template


def _parse(text: str, pos: int, stop: str) -> tuple[Template, int]:
    parts: list[str | Choice | Slot] = []
    literal = ""
    while pos < len(text) and text[pos] not in stop:
        char = text[pos]
        if char in "[{":
            if literal:
                parts.append(literal)
                literal = ""
            if char == "{":
                end = text.index("}", pos)
                parts.append(Slot(text[pos + 1 : end]))
                pos = end + 1
                continue
            options: list[Template] = []
            while True:
                option, pos = _parse(text, pos + 1, "|]")
                options.append(option)
                if pos >= len(text):
                    raise ValueError(f"missing ']' in template: {text}")
                if text[pos] == "]":
                    break
            parts.append(Choice(tuple(options)))
        elif char == "]":
            raise ValueError(f"unexpected ']' in template: {text}")
        else:
            literal += char
        pos += 1
    if literal:
        parts.append(literal)
    return tuple(parts), pos


def nonsense_word(rng: random.Random) -> str:
    """A word that does not exist, such as ``blopi`` or ``wug``."""
    word = ""
    for _ in range(rng.randint(1, 3)):
        word += rng.choice(CONSONANTS) + rng.choice(("", "", "l", "r")) + rng.choice(VOWELS)
    return word + rng.choice(("", rng.choice(CONSONANTS)))


def inflect(phrase: str, ending: str) -> str:
    """The phrase with its first word in another form."""
    verb, blank, rest = phrase.partition(" ")
    if not ending or not verb.isalpha():
        return phrase
    if ending == "ing":
        if verb.endswith("e") and not verb.endswith(("ee", "be")):
            verb = verb[:-1]
        elif verb in DOUBLED:
            verb += verb[-1]
    elif verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        verb += "e"
    elif verb.endswith("y") and verb[-2:-1] not in VOWELS:
        verb = verb[:-1] + "ie"
    return verb + ending + blank + rest


def sample(template: Template, rng: random.Random, slots: Slots, phrase: str = "") -> str:
    """One random expansion; ``phrase`` fills the empty slot of a frame."""
    out: list[str] = []
    for part in template:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, Choice):
            out.append(sample(rng.choice(part.options), rng, slots, phrase))
        elif part.name in PHRASE_SLOTS:
            out.append(inflect(phrase, part.name))
        elif part.name == NONSENSE:
            out.append(nonsense_word(rng))
        else:
            out.append(sample(rng.choice(slots[part.name]), rng, slots, phrase))
    return " ".join("".join(out).split())


def normalise(text: str) -> str:
    """Lower case, punctuation gone, one space: what counts as the same wording."""
    return " ".join(re.sub(r"[^a-z0-9+*/=_%-]+", " ", text.lower().replace("'", "")).split())


def pattern(template: Template, slots: Slots, phrase: str = "") -> str:
    """A regular expression for all *normalised* expansions.

    Empty alternatives may leave double blanks, so blanks match loosely. Made-up
    words are left out: they would match everything.
    """
    out: list[str] = []
    for part in template:
        if isinstance(part, str):
            words = normalise(part)
            left = " *" if part[:1] in " ,.!?:" or not words else ""
            right = " *" if part[-1:] in " ,.!?:" and words else ""
            out.append(left + re.escape(words).replace(r"\ ", " +") + right)
        elif isinstance(part, Choice):
            out.append("(?:" + "|".join(pattern(o, slots, phrase) for o in part.options) + ")")
        elif part.name in PHRASE_SLOTS:
            out.append(phrase)
        elif part.name == NONSENSE:
            out.append("(?!)")
        else:
            out.append("(?:" + "|".join(pattern(o, slots, phrase) for o in slots[part.name]) + ")")
    return "".join(out)
