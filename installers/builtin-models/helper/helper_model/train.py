"""Train the tokenizer and the model: ``python -m helper_model.train``."""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from . import facts as facts_module
from . import paths, tokens, warmstart
from .data import Generator, questions
from .facts import Facts
from .model import Config, Llama

SHORT = 48
SHORT_ANSWER = 10
ROWS = {SHORT: 40, 112: 11, 224: 5, 480: 3, 1024: 1}
"""Row length -> rows in a batch; about 1200 tokens a batch.

A short row is a single question with the first tokens of its answer: that is
where most is learnt for the time it takes.
"""
ROW_WEIGHTS = (65, 10, 14, 8, 3)
SORTED = 8
"""So many batches of short rows are made at once and sorted by length, which saves padding."""
QUESTION_WEIGHT = 0.1
"""Weight of the loss on the words of the user, against 1 on the answers."""


@dataclass(frozen=True)
class Batch:
    """Token ids and, for each, how much predicting it counts."""

    ids: torch.Tensor
    weights: torch.Tensor


class Batches:
    """Makes batches of conversations; the same seed makes the same ones."""

    def __init__(self, facts: Facts, tokenizer: Tokenizer, seed: int) -> None:
        self.generator = Generator(facts, seed)
        self.tokenizer = tokenizer
        self.rng = random.Random(seed + 1)
        self.head_user = self._encode(f"{tokens.IM_START}user\n")
        self.head_assistant = self._encode(f"{tokens.IM_END}\n{tokens.IM_START}assistant\n")
        self.answers = {i.id: self._encode(i.answer + tokens.IM_END) for i in facts.intents}
        self.newline = self._encode("\n")

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def _row(self, length: int) -> tuple[list[int], list[float]]:
        """One conversation of at most ``length`` tokens."""
        ids: list[int] = []
        weights: list[float] = []

        def add(part: list[int], weight: float) -> None:
            ids.extend(part)
            weights.extend([weight] * len(part))

        system = self.generator.system() if length > SHORT else None
        if system is not None:
            add(self._encode(tokens.message("system", system)), 0.0)
        for turn in self.generator.turns():
            question = self._encode(turn.question)
            answer = self.answers[turn.intent.id]
            if length == SHORT:
                answer = answer[:SHORT_ANSWER]
            need = len(self.head_user) + len(question) + len(self.head_assistant) + len(answer) + 1
            if len(ids) + need > length and weights and max(weights) == 1.0:
                break
            add(self.head_user, 0.0)
            add(question, QUESTION_WEIGHT)
            add(self.head_assistant, 0.0)
            add(answer, 1.0)
            add(self.newline, 0.0)
            if len(ids) >= length or length == SHORT:
                break
        return ids[:length], weights[:length]

    def _batch(self, rows: list[tuple[list[int], list[float]]]) -> Batch:
        width = max(len(ids) for ids, _ in rows)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        weights = np.zeros((len(rows), width), dtype=np.float32)
        for number, (row_ids, row_weights) in enumerate(rows):
            ids[number, : len(row_ids)] = row_ids
            weights[number, : len(row_weights)] = row_weights
        return Batch(torch.from_numpy(ids), torch.from_numpy(weights))

    def __iter__(self) -> Iterator[Batch]:
        lengths = list(ROWS)
        short: list[Batch] = []
        while True:
            length = self.rng.choices(lengths, ROW_WEIGHTS)[0]
            count = ROWS[length]
            if length != SHORT:
                yield self._batch([self._row(length) for _ in range(count)])
                continue
            if not short:
                rows = sorted((self._row(length) for _ in range(count * SORTED)), key=lambda row: len(row[0]))
                short = [self._batch(rows[at : at + count]) for at in range(0, len(rows), count)]
                self.rng.shuffle(short)
            yield short.pop()


def loss_of(model: Llama, batch: Batch) -> torch.Tensor:
    """The weighted mean of the cross entropy."""
    hidden = model.hidden(batch.ids[:, :-1])
    weights = batch.weights[:, 1:]
    chosen = weights > 0
    logits = model.logits(hidden[chosen]).float()
    losses = F.cross_entropy(logits, batch.ids[:, 1:][chosen], reduction="none")
    return (losses * weights[chosen]).sum() / weights.sum()


@torch.no_grad()
def dev_accuracy(model: Llama, tokenizer: Tokenizer, facts: Facts) -> tuple[dict[str, float], list[str]]:
    """Share of ``dev`` questions whose answer has the highest probability at every token."""
    was_training = model.training
    model.eval()
    right: dict[str, list[bool]] = {}
    wrong: list[str] = []
    for item in questions(facts, "dev"):
        messages = [m for t in item.before for m in (("user", t.question), ("assistant", t.intent.answer))]
        prompt = tokenizer.encode(tokens.prompt([*messages, ("user", item.question)])).ids
        answer = tokenizer.encode(item.intent.answer + tokens.IM_END).ids
        logits = model(torch.tensor([prompt + answer[:-1]]))[0, len(prompt) - 1 :]
        ok = logits.argmax(-1).tolist() == answer
        right.setdefault(item.category, []).append(ok)
        if not ok:
            wrong.append(f"{item.intent.id}: {item.question}")
    model.train(was_training)
    return {name: sum(oks) / len(oks) for name, oks in right.items()}, wrong


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    warmup = 100
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(
    seed: int, warm_steps: int, steps: int, peak: float, dropout: float, threads: int, log_every: int = 100
) -> None:
    """Train and write ``build/tokenizer.json``, ``build/checkpoint.pt`` and ``build/train.json``."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    paths.BUILD.mkdir(exist_ok=True)
    facts = facts_module.load()
    config = Config()
    started = time.monotonic()

    tokenizer = tokens.train_tokenizer(Generator(facts, seed), config.vocab_size, samples=40_000)
    tokenizer.save(str(paths.BUILD / "tokenizer.json"))
    print(f"tokenizer: {config.vocab_size} tokens, {time.monotonic() - started:.0f} s", flush=True)

    model = Llama(config, dropout)
    warmstart.apply(model, warmstart.word_vectors(Generator(facts, seed + 50), tokenizer, config, warm_steps))
    print(f"warm start: {time.monotonic() - started:.0f} s", flush=True)
    model.train()
    print(f"model: {model.parameter_count()} parameters", flush=True)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.99),
        fused=True,
    )
    batches = iter(Batches(facts, tokenizer, seed + 100))
    seen, running = 0, 0.0
    for step in range(steps):
        batch = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += batch.ids.numel()
        running += loss.item()
        if (step + 1) % log_every == 0:
            seconds = time.monotonic() - started
            print(
                f"step {step + 1}/{steps} loss {running / log_every:.4f} {seen / seconds:.0f} tokens/s {seconds:.0f} s",
                flush=True,
            )
            running = 0.0
        if (step + 1) % (log_every * 2) == 0 or step + 1 == steps:
            torch.save({"config": config.to_dict(), "state": model.state_dict()}, paths.BUILD / "checkpoint.pt")
            shares, wrong = dev_accuracy(model, tokenizer, facts)
            print("dev " + " ".join(f"{name} {share:.3f}" for name, share in shares.items()), flush=True)
            (paths.BUILD / "dev-wrong.txt").write_text("\n".join(wrong) + "\n", encoding="utf-8")
    summary = {"seed": seed, "warm_steps": warm_steps, "steps": steps, "tokens": seen, "minutes": round((time.monotonic() - started) / 60, 1)}
    (paths.BUILD / "train.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--warm-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=3200)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    train(args.seed, args.warm_steps, args.steps, args.lr, args.dropout, args.threads)


if __name__ == "__main__":
    main()
