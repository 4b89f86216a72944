"""Write the model package from the checkpoint: ``python -m helper_model.export``."""

from __future__ import annotations

import json
import shutil
from typing import Any

import torch

from . import facts as facts_module
from . import graph, paths, tokens
from .data import leaks, questions
from .model import Config, Llama

ONNX_FILE = "model_quantized.onnx"
LIMIT = 6_000_000
"""The package may not be larger, in bytes."""


def load_checkpoint() -> tuple[Llama, Config]:
    """The trained model."""
    saved = torch.load(paths.BUILD / "checkpoint.pt", weights_only=True)
    config = Config(**saved["config"])
    model = Llama(config)
    model.load_state_dict(saved["state"])
    return model.eval(), config


def weights_of(model: Llama) -> graph.Weights:
    """The parameters as arrays."""
    return {name: value.detach().float().numpy() for name, value in model.state_dict().items()}


def config_json(config: Config) -> dict[str, Any]:
    """``config.json`` as transformers writes it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": 2,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "pad_token_id": 0,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "transformers.js_config": {"dtype": "q8"},
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }


GENERATION_CONFIG: dict[str, Any] = {
    "do_sample": False,
    "eos_token_id": [2, 0],
    "max_new_tokens": 256,
    "pad_token_id": 0,
}


def tokenizer_config(config: Config) -> dict[str, Any]:
    """``tokenizer_config.json``."""
    special = {
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {str(n): {"content": t, **special} for n, t in enumerate(tokens.SPECIAL)},
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": tokens.IM_END,
        "model_max_length": config.max_position_embeddings,
        "pad_token": tokens.END_OF_TEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }


def write_heldout() -> None:
    """Write ``heldout.jsonl``; fails where training could make one of its questions."""
    facts = facts_module.load()
    found = leaks(facts)
    if found:
        raise SystemExit("held-out questions leak:\n" + "\n".join(found))
    lines = []
    for item in questions(facts, "heldout"):
        messages = []
        for turn in item.before:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.intent.answer})
        messages.append({"role": "user", "content": item.question})
        lines.append(
            json.dumps(
                {
                    "category": item.category,
                    "intent": item.intent.id,
                    "messages": messages,
                    "answers": [item.intent.answer],
                },
                ensure_ascii=False,
            )
        )
    paths.HELDOUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def export() -> None:
    """Write everything but the model card, which comes with the evaluation."""
    model, config = load_checkpoint()
    package = paths.PACKAGE
    shutil.rmtree(package, ignore_errors=True)
    (package / "onnx").mkdir(parents=True)

    def write_json(name: str, value: dict[str, Any]) -> None:
        (package / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")

    write_json("config.json", config_json(config))
    write_json("generation_config.json", GENERATION_CONFIG)
    write_json("tokenizer_config.json", tokenizer_config(config))
    (package / "chat_template.jinja").write_text(tokens.CHAT_TEMPLATE, encoding="utf-8")
    shutil.copyfile(paths.BUILD / "tokenizer.json", package / "tokenizer.json")
    proto = graph.build(config, weights_of(model))
    (package / "onnx" / ONNX_FILE).write_bytes(proto.SerializeToString(deterministic=True))
    write_heldout()
    print(f"{model.parameter_count()} parameters, package {size()} bytes")


def size() -> int:
    """The size of the package in bytes; fails where it is over the limit."""
    total = sum(path.stat().st_size for path in paths.PACKAGE.rglob("*") if path.is_file())
    if total > LIMIT:
        raise SystemExit(f"the package has {total} bytes, more than {LIMIT}")
    return total


if __name__ == "__main__":
    export()
