"""Training conversations and held-out questions, generated from the facts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .facts import FALLBACK, Facts, FollowUp, Intent
from .templates import Template, nonsense_word, normalise, pattern, sample

SMALL_WORDS = re.compile(r"\b(the|a|an|my|do|does|is|are|to|of|i|how|what|can|please|you|me|it|for|in|be|want|need) ")
KEYWORD_SHARE = 0.35
"""The share of questions that are made of keywords."""
FOLLOW_UP_SHARE = 0.15
"""The share of turns that are there to be followed up."""
KEYBOARD = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo",
    "j": "hk", "k": "jl", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et",
    "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """A question and the intent whose answer is wanted."""

    question: str
    intent: Intent


@dataclass(frozen=True)
class Conversation:
    """Turns of one chat, with an optional system prompt."""

    system: str | None
    turns: list[Turn]


@dataclass(frozen=True)
class Question:
    """A held-out question; ``before`` is the conversation up to it."""

    category: str
    intent: Intent
    question: str
    before: tuple[Turn, ...] = field(default=())


class Generator:
    """Makes training conversations; the same seed makes the same ones."""

    def __init__(self, facts: Facts, seed: int) -> None:
        self.facts = facts
        self.rng = random.Random(seed)
        self.product = facts.category("product")
        self.smalltalk = facts.category("smalltalk")
        self.fallback = facts.by_id[FALLBACK]
        self.heldout = {normalise(q.question) for split in ("dev", "heldout") for q in questions(facts, split)}
        self.followups: dict[str, list[FollowUp]] = {}
        for followup in facts.followups:
            self.followups.setdefault(followup.after, []).append(followup)
        self.synonyms: dict[str, list[str]] = {}
        for group in facts.frames.synonyms:
            for word in group:
                self.synonyms.setdefault(word, []).extend(w for w in group if w != word)
        words = sorted(self.synonyms, key=len, reverse=True)
        self.synonym_pattern = re.compile(r"(?<![-/\w])(" + "|".join(map(re.escape, words)) + r")(?![-/\w.])")

    # -- Questions ----------------------------------------------------------

    def _sample(self, template: Template, phrase: str = "") -> str:
        return sample(template, self.rng, self.facts.slots, phrase)

    def _plain(self, intent: Intent) -> str:
        """A question for the intent, in tidy lower case."""
        rng, frames = self.rng, self.facts.frames
        if rng.random() < KEYWORD_SHARE:
            return self._from_keywords(intent)
        pools = [
            (intent.do, frames.do),
            (intent.about, frames.about),
            (intent.error, frames.error),
            (intent.ask, None),
        ]
        # A pool weighs as much as it has wordings, within limits.
        weights = [min(len(pool), 8) + 2 if pool else 0 for pool, _ in pools]
        if intent.id == FALLBACK:
            weights = [3, 3, 1, 6]
        pool, pool_frames = rng.choices(pools, weights)[0]
        phrase = self._sample(rng.choice(pool))
        if pool_frames is None:
            return phrase
        return self._sample(rng.choice(pool_frames), phrase)

    def _fillers(self, limit: int) -> list[str]:
        return [self._sample(self.rng.choice(self.facts.frames.filler)) for _ in range(self.rng.randint(0, limit))]

    def _from_keywords(self, intent: Intent) -> str:
        """The keywords of the intent, in a row, with small words around them."""
        rng = self.rng
        parts = [self._sample(part) for part in rng.choice(intent.keywords)]
        if rng.random() < 0.5:
            rng.shuffle(parts)
        limit = rng.choice((0, 1, 2, 3))
        words = self._fillers(3)
        for part in parts:
            words += [part, *self._fillers(limit)]
        return " ".join(" ".join(words).split())

    def question(self, intent: Intent) -> str:
        """A question for the intent as a person might type it."""
        return self._as_typed(lambda: self._plain(intent))

    def _as_typed(self, plain: Callable[[], str]) -> str:
        rng = self.rng
        while True:
            text = plain()
            if rng.random() < 0.4:
                text = self._with_synonyms(text)
            if rng.random() < 0.12:
                text = self._sample(rng.choice(self.facts.frames.prefix)) + " " + text
            if rng.random() < 0.12:
                clause = self._sample(rng.choice(self.facts.frames.clause))
                comma = rng.choice((",", ".", " and", ":", " -", ""))
                text = rng.choice((f"{clause}{comma} {text}", f"{text}{rng.choice((',', '.', '?', ''))} {clause}"))
            if rng.random() < 0.15:
                text = self._with_more_words(text)
            end = rng.choices(("", "?", ".", "!", "??", " ?", "..."), (40, 40, 10, 3, 3, 3, 1))[0]
            if rng.random() < 0.06:
                text += rng.choice((" ", ", ", "? ")) + self._sample(rng.choice(self.facts.frames.suffix))
            if normalise(text) not in self.heldout:
                break
        if rng.random() < 0.12:
            text = SMALL_WORDS.sub(lambda m: "" if rng.random() < 0.5 else m.group(), text)
        if rng.random() < 0.25:
            text = self._contract(text)
        if rng.random() < 0.2:
            text = self._typo(text)
            if rng.random() < 0.3:
                text = self._typo(text)
        if not text.endswith(("?", ".", "!")):
            text += end
        return self._cased(text)

    def _with_more_words(self, text: str) -> str:
        """One or two small words, or a made-up one, somewhere in the question."""
        rng = self.rng
        words = text.split(" ")
        for _ in range(rng.choice((1, 1, 2))):
            word = nonsense_word(rng) if rng.random() < 0.2 else self._sample(rng.choice(self.facts.frames.filler))
            words.insert(rng.randrange(len(words) + 1), word)
        return " ".join(words)

    def _with_synonyms(self, text: str) -> str:
        rng = self.rng

        def swap(match: re.Match[str]) -> str:
            return rng.choice(self.synonyms[match.group()]) if rng.random() < 0.4 else match.group()

        return self.synonym_pattern.sub(swap, text)

    def _contract(self, text: str) -> str:
        for full, short in (
            ("what is ", "what's "), ("i am ", "i'm "), ("do not ", "don't "), ("cannot ", "can't "),
            ("does not ", "doesn't "), ("you are ", "you're "), ("i have ", "i've "), ("it is ", "it's "),
            ("where is ", "where's "), ("how is ", "how's "), ("who is ", "who's "), ("that is ", "that's "),
        ):  # fmt: skip
            text = text.replace(full, short)
        if self.rng.random() < 0.3:
            text = text.replace("'", self.rng.choice(("", "’")))
        return text

    def _typo(self, text: str) -> str:
        """One slip of the fingers in a word of four letters or more."""
        rng = self.rng
        words = [m for m in re.finditer(r"(?<![-/_.\w])[a-z]{4,}(?![-/_.\w])", text)]
        if not words:
            return text
        word = rng.choice(words)
        at = rng.randrange(word.start() + 1, word.end())
        kind = rng.randrange(4)
        if kind == 0:
            return text[:at] + text[at + 1 :]
        if kind == 1:
            return text[:at] + text[at] + text[at:]
        if kind == 2:
            return text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :]
        return text[:at] + rng.choice(KEYBOARD[text[at]]) + text[at + 1 :]

    def _cased(self, text: str) -> str:
        rng = self.rng
        style = rng.random()
        if style < 0.5:
            text = text[:1].upper() + text[1:]
            return re.sub(r"\bi\b(?!['-.])", "I", re.sub(r"\bi'", "I'", text))
        if style < 0.96 or "--" in text or "_" in text:
            return text
        if style < 0.98:
            return text.upper()
        return text.title()

    # -- Conversations ------------------------------------------------------

    def _intent(self) -> Intent:
        kind = self.rng.random()
        if kind < 0.62:
            return self.rng.choice(self.product)
        if kind < 0.87:
            return self.fallback
        return self.rng.choice(self.smalltalk)

    def turns(self) -> Iterator[Turn]:
        """Turns of one endless conversation."""
        rng = self.rng
        while True:
            if rng.random() < FOLLOW_UP_SHARE:
                intent = self.facts.by_id[rng.choice(list(self.followups))]
                chance = 1.0
            else:
                intent, chance = self._intent(), 0.15
            yield Turn(self.question(intent), intent)
            while intent.id in self.followups and rng.random() < chance:
                followup = rng.choice(self.followups[intent.id])
                intent, chance = self.facts.by_id[followup.then], 0.15
                yield Turn(self._as_typed(lambda f=followup: self._sample(rng.choice(f.ask))), intent)

    def system(self) -> str | None:
        """No system prompt, or any."""
        rng = self.rng
        if rng.random() < 0.6:
            return None
        count = rng.choice((1, 1, 1, 2, 3))
        return " ".join(self._sample(rng.choice(self.facts.frames.system)) for _ in range(count))


# -- Held-out questions -----------------------------------------------------


def questions(facts: Facts, split: str) -> list[Question]:
    """The questions of the split ``dev`` or ``heldout``, single ones first.

    A follow-up comes after a question of its ``after`` intent, taken from the
    held-out ones of the same split as well.
    """
    out: list[Question] = []
    for intent in facts.intents:
        for text in getattr(intent, split):
            out.append(Question(intent.category, intent, text))
    for followup in facts.followups:
        after = facts.by_id[followup.after]
        for text in getattr(followup, split):
            before = Turn(getattr(after, split)[0], after)
            out.append(Question("followup", facts.by_id[followup.then], text, (before,)))
    return out


def leaks(facts: Facts) -> list[str]:
    """Held-out questions that some training template could make, with the reason.

    Must be empty: held-out means that no template, with whatever fillers, frame,
    prefix or suffix, spells the question. (Keywords, synonyms and added words are
    covered by the generator, which drops whatever equals a held-out question.)
    """
    frames = facts.frames

    def either(templates: tuple[Template, ...]) -> str:
        return "(?:" + "|".join(pattern(t, facts.slots) for t in templates) + ")"

    def compiled(templates: tuple[Template, ...]) -> re.Pattern[str]:
        return re.compile("(?:" + "|".join(pattern(t, facts.slots) for t in templates) + ") *")

    prefix = re.compile(either(frames.prefix) + " +")
    suffix = re.compile(" +" + either(frames.suffix) + "$")
    kinds = {
        kind: [re.compile(pattern(t, facts.slots, "(.+)")) for t in dict.fromkeys(getattr(frames, kind))]
        for kind in ("do", "about", "error")
    }
    asks = {intent.id: compiled(intent.ask) for intent in facts.intents if intent.ask}
    phrases = {
        (intent.id, kind): compiled(getattr(intent, kind))
        for intent in facts.intents
        for kind in kinds
        if getattr(intent, kind)
    }
    follow = [(f, compiled(f.ask)) for f in facts.followups]

    found: list[str] = []
    for split in ("dev", "heldout"):
        for item in questions(facts, split):
            whole = normalise(item.question)
            forms = {whole, suffix.sub("", whole)}
            forms |= {form[m.end() :] for form in forms if (m := prefix.match(form))}
            for form in sorted(forms):
                for name, regex in asks.items():
                    if regex.fullmatch(form):
                        found.append(f"{split}: {item.question!r} is an `ask` of {name}")
                for kind, kind_frames in kinds.items():
                    for frame in kind_frames:
                        match = frame.fullmatch(form)
                        if not match:
                            continue
                        for (name, phrase_kind), regex in phrases.items():
                            if phrase_kind == kind and regex.fullmatch(match.group(1)):
                                found.append(f"{split}: {item.question!r} is a `{kind}` of {name}")
                if item.before:
                    for followup, regex in follow:
                        if regex.fullmatch(form):
                            found.append(f"{split}: {item.question!r} follows {followup.after} in training")
    return sorted(set(found))
