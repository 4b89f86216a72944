#!/usr/bin/env python3
"""Make a language model package of real shape with random weights, to measure speed with.

    python3 -m pip install numpy onnx
    python3 make_package.py OUT [--shape llama-1b|qwen2.5-0.5b|small] [--block 32]

Writes an ONNX Runtime GenAI package: GroupQueryAttention with rotary embedding inside and past
and present in one buffer, int4 MatMulNBits with accuracy level 4, tied and quantized embedding.
The layout of the operators is that of com.microsoft in ONNX Runtime's ContribOperators.md. Speed
does not depend on the values of weights, so they are drawn at random in quantized form. Every
token is one character, so that a prompt of N characters is a prompt of N tokens: those of ASCII
that can be printed, so that there are words and JSON, then ideographs and what follows them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, save

MICROSOFT = "com.microsoft"
PRINTABLE = range(0x20, 0x7F)
FIRST_CHARACTER = 0x4E00
SURROGATES = range(0xD800, 0xF900)


@dataclass(frozen=True)
class Shape:
    """The numbers of a decoder of the family of Llama or Qwen2."""

    family: str
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    context: int
    rotary_base: float
    epsilon: float

    @property
    def has_biases(self) -> bool:
        """Of query, key and value."""
        return self.family == "qwen2"


SHAPES = {
    "llama-1b": Shape("llama", 128256, 2048, 8192, 16, 32, 8, 64, 8192, 500000.0, 1e-5),
    "qwen2.5-0.5b": Shape("qwen2", 151936, 896, 4864, 24, 14, 2, 64, 32768, 1000000.0, 1e-6),
    "small": Shape("llama", 2000, 256, 512, 4, 8, 2, 32, 4096, 500000.0, 1e-5),
}


class Weights:
    """Initializers, their bytes in one external file."""

    def __init__(self, file: pathlib.Path, block: int) -> None:
        self.name = file.name
        self.out = file.open("wb")
        self.block = block
        self.random = np.random.default_rng(0)
        self.initializers: list[TensorProto] = []
        self.places: dict[str, tuple[int, int]] = {}

    def add(self, name: str, array: np.ndarray) -> str:
        self.out.write(b"\0" * (-self.out.tell() % 4096))
        self.places[name] = (self.out.tell(), array.nbytes)
        array.tofile(self.out)
        return self.refer(name, name, array.dtype, array.shape)

    def refer(self, name: str, bytes_of: str, dtype: np.dtype, shape: tuple[int, ...]) -> str:
        offset, length = self.places[bytes_of]
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.name), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)
        return name

    def quantized(self, name: str, rows: int, columns: int) -> tuple[str, str]:
        """int4 weights [rows, blocks, block / 2] and fp32 scales [rows * blocks]."""
        blocks = columns // self.block
        packed = self.random.integers(0, 256, (rows, blocks, self.block // 2), dtype=np.uint8)
        scales = np.full(rows * blocks, 0.02 / 4, dtype=np.float32)
        return self.add(f"{name}.weight", packed), self.add(f"{name}.scales", scales)


class Graph:
    """Nodes in the order of computation."""

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape = shape
        self.weights = weights
        self.nodes: list[object] = []

    def node(self, op: str, inputs: list[str], outputs: list[str] | str, domain: str = "", **attributes: object) -> str:
        outputs = [outputs] if isinstance(outputs, str) else outputs
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def matmul(self, source: str, name: str, rows: int, columns: int, target: str | None = None) -> str:
        weight, scales = self.weights.quantized(name, rows, columns)
        return self.node(
            "MatMulNBits", [source, weight, scales], target or f"{name}.out", MICROSOFT,
            K=columns, N=rows, bits=4, block_size=self.weights.block, accuracy_level=4,
        )

    def projection(self, source: str, name: str, heads: int) -> str:
        """A matrix product with what these heads take, and its bias."""
        rows = heads * self.shape.head_size
        product = self.matmul(source, name, rows, self.shape.hidden)
        if not self.shape.has_biases:
            return product
        bias = self.weights.add(f"{name}.bias", np.zeros(rows, dtype=np.float32))
        return self.node("Add", [product, bias], f"{name}.biased")

    def norm(self, name: str, source: str, skip: str | None) -> tuple[str, str]:
        """The normalised sum of both, and the sum itself."""
        gain = self.weights.add(f"{name}.weight", np.ones(self.shape.hidden, dtype=np.float32))
        out = f"{name}.out"
        if skip is None:
            attributes = {"axis": -1, "epsilon": self.shape.epsilon, "stash_type": 1}
            return self.node("SimplifiedLayerNormalization", [source, gain], out, **attributes), source
        outputs = [out, "", "", f"{name}.sum"]
        epsilon = self.shape.epsilon
        self.node("SkipSimplifiedLayerNormalization", [source, skip, gain], outputs, MICROSOFT, epsilon=epsilon)
        return out, outputs[3]

    def layer(self, index: int, source: str, residual: str) -> tuple[str, str]:
        s, name = self.shape, f"layers.{index}"
        query = self.projection(source, f"{name}.q", s.heads)
        key = self.projection(source, f"{name}.k", s.key_value_heads)
        value = self.projection(source, f"{name}.v", s.key_value_heads)
        past = [f"past_key_values.{index}.key", f"past_key_values.{index}.value"]
        outputs = [f"{name}.attention", f"present.{index}.key", f"present.{index}.value"]
        attended = self.node(
            "GroupQueryAttention",
            [query, key, value, *past, "seqlens_k", "total_length", "cos_cache", "sin_cache"],
            outputs, MICROSOFT,
            num_heads=s.heads, kv_num_heads=s.key_value_heads, do_rotary=1, scale=s.head_size**-0.5,
        )
        projected = self.matmul(attended, f"{name}.o", s.hidden, s.heads * s.head_size)
        normed, residual = self.norm(f"{name}.norm2", projected, residual)
        gate = self.matmul(normed, f"{name}.gate", s.intermediate, s.hidden)
        up = self.matmul(normed, f"{name}.up", s.intermediate, s.hidden)
        sigmoid = self.node("Sigmoid", [gate], f"{name}.sigmoid")
        silu = self.node("Mul", [gate, sigmoid], f"{name}.silu")
        product = self.node("Mul", [silu, up], f"{name}.product")
        return self.matmul(product, f"{name}.down", s.hidden, s.intermediate), residual

    def lengths(self) -> None:
        """seqlens_k and total_length, as GroupQueryAttention wants them, from the mask."""
        self.constant("one", np.array([1], dtype=np.int64))
        self.constant("axis", np.array(1, dtype=np.int64))
        summed = self.node("ReduceSum", ["attention_mask", "one"], "mask.sum", keepdims=0)
        less = self.node("Sub", [summed, "one"], "mask.last")
        self.node("Cast", [less], "seqlens_k", to=TensorProto.INT32)
        dimensions = self.node("Shape", ["attention_mask"], "mask.shape")
        total = self.node("Gather", [dimensions, "axis"], "mask.length", axis=0)
        self.node("Cast", [total], "total_length", to=TensorProto.INT32)

    def constant(self, name: str, array: np.ndarray) -> None:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.weights.initializers.append(helper.make_tensor(name, kind, array.shape, array.tobytes(), raw=True))

    def rotary(self) -> None:
        s = self.shape
        frequencies = s.rotary_base ** -(np.arange(0, s.head_size, 2) / s.head_size)
        angles = np.outer(np.arange(s.context), frequencies)
        self.weights.add("cos_cache", np.cos(angles).astype(np.float32))
        self.weights.add("sin_cache", np.sin(angles).astype(np.float32))

    def build(self) -> None:
        s, block = self.shape, self.weights.block
        self.lengths()
        self.rotary()
        head_weight, head_scales = self.weights.quantized("head", s.vocabulary, s.hidden)
        self.weights.refer("embedding.weight", head_weight, np.uint8, (s.vocabulary, s.hidden // 2))
        self.weights.refer("embedding.scales", head_scales, np.float32, (s.vocabulary, s.hidden // block))
        hidden = self.node(
            "GatherBlockQuantized", ["embedding.weight", "input_ids", "embedding.scales"], "embedded", MICROSOFT,
            bits=4, block_size=block, gather_axis=0, quantize_axis=1,
        )
        normed, residual = self.norm("layers.0.norm1", hidden, None)
        for index in range(s.layers):
            out, residual = self.layer(index, normed, residual)
            normed, residual = self.norm(f"layers.{index + 1}.norm1", out, residual)
        self.node(
            "MatMulNBits", [normed, head_weight, head_scales], "logits", MICROSOFT,
            K=s.hidden, N=s.vocabulary, bits=4, block_size=block, accuracy_level=4,
        )


def graph_file(out: pathlib.Path, shape: Shape, block: int) -> None:
    weights = Weights(out / "model.onnx.data", block)
    graph = Graph(shape, weights)
    graph.build()
    weights.out.close()
    ids = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "total"]),
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", shape.vocabulary])

    def caches(prefix: str, length: str) -> list[object]:
        dimensions = ["batch", shape.key_value_heads, length, shape.head_size]
        return [
            helper.make_tensor_value_info(f"{prefix}.{layer}.{kind}", TensorProto.FLOAT, dimensions)
            for layer in range(shape.layers)
            for kind in ("key", "value")
        ]

    inputs = ids + caches("past_key_values", "past")
    outputs = [logits, *caches("present", "total")]
    proto = helper.make_graph(graph.nodes, "decoder", inputs, outputs, weights.initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    save(helper.make_model(proto, opset_imports=opsets, ir_version=10), out / "model.onnx")


def characters(count: int) -> list[str]:
    """Distinct, none of which is a surrogate or has a canonical decomposition."""
    further = (point for point in range(FIRST_CHARACTER, 0x30000) if point not in SURROGATES)
    points = itertools.chain(PRINTABLE, further)
    return [chr(next(points)) for _ in range(count)]


def text_files(out: pathlib.Path, shape: Shape) -> None:
    specials = ["<s>", "</s>", "<unk>"]
    vocabulary = {token: index for index, token in enumerate(specials + characters(shape.vocabulary - 3))}
    added = [
        {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, token in enumerate(specials)
    ]
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": vocabulary, "merges": []}
    decoder = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                 "pre_tokenizer": None, "post_processor": None, "decoder": decoder, "model": model}
    write(out / "tokenizer.json", tokenizer)
    write(out / "tokenizer_config.json", {
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "chat_template": "{% for message in messages %}{{ message['content'] }}{% endfor %}"})
    names = {"past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"}
    present = {"present_key_names": "present.%d.key", "present_value_names": "present.%d.value"}
    write(out / "genai_config.json", {
        "model": {
            "type": shape.family, "vocab_size": shape.vocabulary, "context_length": shape.context,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
            "decoder": {
                "filename": "model.onnx", "session_options": {}, "head_size": shape.head_size,
                "hidden_size": shape.hidden, "num_attention_heads": shape.heads,
                "num_hidden_layers": shape.layers, "num_key_value_heads": shape.key_value_heads,
                "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **names},
                "outputs": {"logits": "logits", **present},
            },
        },
        "search": {"do_sample": False, "max_length": shape.context, "past_present_share_buffer": True},
    })


def write(file: pathlib.Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--shape", choices=SHAPES, default="llama-1b")
    parser.add_argument("--block", type=int, default=32)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    graph_file(arguments.out, SHAPES[arguments.shape], arguments.block)
    text_files(arguments.out, SHAPES[arguments.shape])
    print(arguments.out)


if __name__ == "__main__":
    main()
