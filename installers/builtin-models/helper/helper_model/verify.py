"""Compare the package with the PyTorch model: ``python -m helper_model.verify``.

Needs the checkpoint in ``build/``. Shows that the graph is the model (nearly
equal logits once rounding of the activations is off), what the 8 bits cost, that
chunked prompts and one shared key/value buffer change nothing, and, where
transformers is installed, that its Llama computes the same.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch

from . import graph, paths
from .evaluate import load_heldout
from .export import load_checkpoint, weights_of
from .model import Config, Llama
from .quantize import quantize
from .runtime import Package

SAMPLES = 40


def rounded(model: Llama, config: Config) -> Llama:
    """The model with its weights rounded as in the graph (but the embedding table)."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in state.items():
        if name.endswith("_proj.weight"):
            state[name] = torch.from_numpy(quantize(value.numpy()).dequantize())
    copy = Llama(config)
    copy.load_state_dict(state)
    return copy.eval()


def max_difference(package: Package, model: Llama, prompts: list[list[int]], head: torch.Tensor | None) -> float:
    """The largest difference of a logit over all prompts."""
    worst = 0.0
    for ids in prompts:
        ours, _ = package.step(ids, package.empty())
        hidden = model.hidden(torch.tensor([ids]))
        theirs = model.logits(hidden) if head is None else torch.nn.functional.linear(hidden, head)
        worst = max(worst, float(np.abs(ours - theirs[0].numpy()).max()))
    return worst


@torch.no_grad()
def verify() -> None:
    """Run all comparisons; fails where one is off."""
    torch.set_num_threads(1)
    model, config = load_checkpoint()
    package = Package()
    items = load_heldout()
    items = items[:: max(1, len(items) // SAMPLES)]
    prompts = [package.prompt(item["messages"]) for item in items]

    exact = Package()
    proto = graph.build(config, weights_of(model), accuracy_level=1)
    exact.session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    head = torch.from_numpy(quantize(model.model.embed_tokens.weight.numpy()).dequantize())
    difference = max_difference(exact, rounded(model, config), prompts, head)
    print(f"graph without rounded activations against PyTorch with rounded weights: {difference:.5f}")
    if difference > 0.05:
        raise SystemExit("the graph is not the model")
    print(f"package against PyTorch in fp32: {max_difference(package, model, prompts, None):.3f}")

    for prompt in prompts:
        answer = package.generate_ids(prompt)
        for chunk in (1, 7, 16):
            if package.generate_ids(prompt, chunk) != answer:
                raise SystemExit(f"chunks of {chunk} change the answer")
            if package.generate_ids_shared(prompt, chunk) != answer:
                raise SystemExit(f"a shared buffer and chunks of {chunk} change the answer")
    print(f"chunked prompts and shared buffers: same answers to {len(prompts)} questions")

    try:
        from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    except ImportError:
        print("transformers is not installed, not compared")
        return
    other = LlamaForCausalLM(LlamaConfig.from_pretrained(paths.PACKAGE)).eval()
    other.load_state_dict({**model.state_dict(), "lm_head.weight": model.model.embed_tokens.weight})
    tokenizer = AutoTokenizer.from_pretrained(paths.PACKAGE)
    worst = 0.0
    for item, ids in zip(items, prompts, strict=True):
        encoded = tokenizer.apply_chat_template(item["messages"], add_generation_prompt=True, return_dict=True)
        if encoded["input_ids"] != ids:
            raise SystemExit("transformers writes another prompt")
        tensor = torch.tensor([ids])
        worst = max(worst, float((other(tensor).logits - model(tensor)).abs().max()))
    print(f"transformers against PyTorch: {worst:.6f}")
    if worst > 0.001:
        raise SystemExit("transformers computes something else")


if __name__ == "__main__":
    verify()
