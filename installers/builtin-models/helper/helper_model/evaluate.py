"""Ask the package the held-out questions: ``python -m helper_model.evaluate``.

Writes ``evaluation.json`` and the model card. With ``--check`` nothing is
written; the committed package has to reach the committed figures instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from typing import Any

from . import facts as facts_module
from . import paths
from .data import leaks
from .export import ONNX_FILE, size
from .runtime import Messages, Package

REQUIRED = 0.90
"""The share of product questions that has to be right."""
TOLERANCE = 0.02
"""How far ``--check`` may be off the committed figures: another CPU may round differently."""

CHATTER: Messages = [
    {"role": "user", "content": "Hi there!"},
    {"role": "assistant", "content": "{hello}"},
    {"role": "user", "content": "how do i list the models?"},
    {"role": "assistant", "content": "{models_list}"},
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "{fallback}"},
]
SYSTEM: Messages = [{"role": "system", "content": "You are a helpful assistant. Answer in one sentence."}]


def normalised(answer: str) -> str:
    """What is compared: case and the width of blanks do not count."""
    return " ".join(answer.split()).casefold()


def load_heldout() -> list[dict[str, Any]]:
    """The committed held-out questions."""
    return [json.loads(line) for line in paths.HELDOUT.read_text(encoding="utf-8").splitlines()]


def ask_all(package: Package, items: list[dict[str, Any]], before: Messages) -> tuple[dict[str, Any], list[str]]:
    """Right answers by category with ``before`` ahead of every question, and the wrong ones."""
    counts: dict[str, list[int]] = {}
    wrong: list[str] = []
    for item in items:
        answer = package.generate(before + item["messages"])
        right = normalised(answer) in [normalised(a) for a in item["answers"]]
        count = counts.setdefault(item["category"], [0, 0])
        count[0] += right
        count[1] += 1
        if not right:
            wrong.append(f"{item['category']} {item['intent']}: {item['messages'][-1]['content']} -> {answer}")
    figures = {
        name: {"right": right, "count": count, "share": round(right / count, 4)}
        for name, (right, count) in counts.items()
    }
    return figures, wrong


def evaluate() -> dict[str, Any]:
    """All figures of the package, printed on the way."""
    facts = facts_module.load()
    found = leaks(facts)
    if found:
        raise SystemExit("held-out questions leak:\n" + "\n".join(found))
    package = Package()
    items = load_heldout()
    chatter = [
        {"role": m["role"], "content": m["content"].format(**{i.id: i.answer for i in facts.intents})} for m in CHATTER
    ]
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    for name, before in (("alone", []), ("with_system_prompt", SYSTEM), ("after_three_turns", chatter)):
        chosen = items if name == "alone" else [i for i in items if len(i["messages"]) == 1]
        figures[name], missed = ask_all(package, chosen, before)
        shares = ", ".join(f"{c} {f['right']}/{f['count']} = {f['share']:.1%}" for c, f in figures[name].items())
        print(f"{name}: {shares}", flush=True)
        wrong = wrong or missed
    paths.BUILD.mkdir(exist_ok=True)
    (paths.BUILD / "heldout-wrong.txt").write_text("\n".join(wrong) + "\n", encoding="utf-8")
    model = (paths.PACKAGE / "onnx" / ONNX_FILE).read_bytes()
    return {
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "heldout_sha256": hashlib.sha256(paths.HELDOUT.read_bytes()).hexdigest(),
        "intents": {name: len(facts.category(name)) for name in ("product", "smalltalk")},
        "decoding": "greedy, exact answer after blanks and case are normalised",
        **figures,
    }


def write_card(result: dict[str, Any]) -> None:
    """Fill the figures into the model card."""
    card = (paths.ROOT / "card.md").read_text(encoding="utf-8")
    for variant in ("alone", "with_system_prompt", "after_three_turns"):
        for category, figure in result[variant].items():
            text = f"{figure['right']} of {figure['count']} ({figure['share']:.1%})"
            card = card.replace(f"@{variant}.{category}@", text)
    card = card.replace("@intents@", str(result["intents"]["product"]))
    if "@" in card:
        raise SystemExit("the model card asks for a figure that there is not")
    (paths.PACKAGE / "README.md").write_text(card, encoding="utf-8")


def check(result: dict[str, Any]) -> None:
    """Compare with the committed evaluation."""
    committed = json.loads(paths.EVALUATION.read_text(encoding="utf-8"))
    for key in ("model_sha256", "heldout_sha256", "intents"):
        if committed[key] != result[key]:
            raise SystemExit(f"evaluation.json belongs to other files: {key} differs")
    for variant in ("alone", "with_system_prompt", "after_three_turns"):
        for category, figure in committed[variant].items():
            if result[variant][category]["share"] < figure["share"] - TOLERANCE:
                raise SystemExit(f"{variant} {category}: less than the committed {figure['share']:.1%}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the committed figures")
    args = parser.parse_args()
    result = evaluate()
    if args.check:
        check(result)
    else:
        paths.EVALUATION.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        write_card(result)
    size()
    share = result["alone"]["product"]["share"]
    if share < REQUIRED:
        raise SystemExit(f"only {share:.1%} of the product questions are right")


if __name__ == "__main__":
    main()
