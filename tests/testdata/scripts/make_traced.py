#!/usr/bin/env python3
"""Makes tests/testdata/traced: tiny random models as PyTorch's own exporter traces them from transformers.

These are the graphs that are in use: shapes computed at every step, keys repeated by Expand, masks by Where. What they
compute is compared with themselves after rewriting, so they come without goldens.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM
from transformers.cache_utils import DynamicLayer

HERE = Path(__file__).resolve().parent
LAYERS, HEADS, HEAD_DIM = 2, 2, 16
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
    "num_key_value_heads": HEADS, "head_dim": HEAD_DIM, "vocab_size": 96, "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}  # fmt: skip
WINDOW = {"sliding_window": 6, "use_sliding_window": True, "max_window_layers": 1}
ATTENTION = torch.nn.functional.scaled_dot_product_attention


class WithPast(torch.nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor) -> Any:
        cache = DynamicCache()
        for key, value in zip(past[::2], past[1::2], strict=True):
            layer = DynamicLayer()
            layer.keys, layer.values, layer.is_initialized = key, value, True
            layer.dtype, layer.device = key.dtype, key.device
            cache.layers.append(layer)
        done = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache)
        kept = [part for layer in done.past_key_values.layers for part in (layer.keys, layer.values)]
        return done.logits, *kept


def without_scale(*arguments: Any, scale: float | None = None, **others: Any) -> torch.Tensor:
    """As transformers called it for years: the exporter then computes the scale from the query's shape."""
    return ATTENTION(*arguments, **others)


def export(model: PreTrainedModel, folder: Path) -> None:
    tokens, past = 3, 5
    names = [f"{layer}.{what}" for layer in range(LAYERS) for what in ("key", "value")]
    ids = torch.arange(tokens)[None]
    mask, positions = torch.ones(1, tokens + past, dtype=torch.int64), torch.arange(past, past + tokens)[None]
    kept = [torch.randn(1, HEADS, past, HEAD_DIM) for _ in names]
    inputs = ["input_ids", "attention_mask", "position_ids"]
    axes = dict(zip(inputs, ({1: "tokens"}, {1: "total"}, {1: "tokens"}), strict=True))
    axes |= {f"past_key_values.{name}": {2: "past"} for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    torch.onnx.export(
        WithPast(model.eval()), (ids, mask, positions, *kept), str(path), opset_version=17, dynamo=False,
        input_names=[*inputs, *(f"past_key_values.{name}" for name in names)],
        output_names=["logits", *(f"present.{name}" for name in names)],
        dynamic_axes={name: {0: "batch"} | sizes for name, sizes in axes.items()},
    )  # fmt: skip
    written = onnx.load(str(path))
    for node in written.graph.node:
        node.ClearField("doc_string")
    onnx.save(written, str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "traced")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, kind, config, scaled in (
        ("llama-eager", LlamaForCausalLM, LlamaConfig(**SIZES), True),
        ("llama-sdpa", LlamaForCausalLM, LlamaConfig(**SIZES), True),
        ("llama-sdpa-unscaled", LlamaForCausalLM, LlamaConfig(**SIZES), False),
        ("qwen3-sdpa-window", Qwen3ForCausalLM, Qwen3Config(**SIZES, **WINDOW), True),
    ):
        torch.manual_seed(7)
        config._attn_implementation = name.split("-")[1]
        torch.nn.functional.scaled_dot_product_attention = ATTENTION if scaled else without_scale
        export(kind(config), arguments.out / name)


if __name__ == "__main__":
    main()
