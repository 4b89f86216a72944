#!/usr/bin/env python3
"""Make models for llama.cpp of the same shape as an ONNX package, with random weights.

    python3 make_gguf.py PACKAGE OUT

PACKAGE is one of ../make_package.py or any other of ONNX Runtime GenAI with int4 weights of the
family of Llama or Qwen2. Writes OUT/q4_0.gguf, every matrix in Q4_0, and OUT/q4_k_m.gguf, mixed as
llama.cpp's own quantizer mixes Q4_K_M, unless they are there. One line of JSON says the shape and
how many bytes of weights a token reads on either side. Speed does not depend on the values of
weights, so quantized blocks are drawn at random; their scales are small and finite.

As in the package every token is one character, those of ../make_package.py, so that a text has the
same number of tokens on both sides.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import gguf
import numpy as np
import onnx
from gguf import GGMLQuantizationType as Kind

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from make_package import characters  # noqa: E402

SPECIALS = ["<s>", "</s>", "<unk>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
# Blocks of random bytes whose scale is one of these, at these bytes of a block.
SCALES: dict[Kind, list[tuple[int, float]]] = {
    Kind.Q4_0: [(0, 0.005)],
    Kind.Q5_0: [(0, 0.0025)],
    Kind.Q8_0: [(0, 0.0003)],
    # Values of a block are scale * (0 to 63) * (0 to 15) less minimum * (0 to 63).
    Kind.Q4_K: [(0, 0.00015), (2, 0.0011)],
    Kind.Q6_K: [(208, 0.00002)],
}


@dataclass(frozen=True)
class Shape:
    """What both sides have in common."""

    family: str
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    context: int
    tied: bool
    rotary_base: float
    epsilon: float


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def read_package(package: pathlib.Path) -> tuple[Shape, int]:
    """The shape, and the bytes of weights that one token reads, with scales of two bytes."""
    model = json.loads((package / "genai_config.json").read_text(encoding="utf-8"))["model"]
    decoder = model["decoder"]
    graph = onnx.load(package / decoder["filename"], load_external_data=False).graph
    products = [(node, attributes(node)) for node in graph.node if node.op_type == "MatMulNBits"]
    if not products:
        raise SystemExit(f"{package}: no MatMulNBits in its graph; only packages with int4 weights are compared")
    weights = sum(weight_bytes(node, numbers) for node, numbers in products)
    family, hidden, vocabulary = model["type"], decoder["hidden_size"], model["vocab_size"]
    if family not in ("llama", "qwen2"):
        raise SystemExit(f"{package}: models of type {family} are not compared, only llama and qwen2")
    head = next(node for node, numbers in products if numbers["N"] == vocabulary)
    wide = {numbers["K"] for _, numbers in products} - {hidden, decoder["num_attention_heads"] * decoder["head_size"]}
    shape = Shape(
        family, vocabulary, hidden, max(wide), decoder["num_hidden_layers"], decoder["num_attention_heads"],
        decoder["num_key_value_heads"], decoder["head_size"], model["context_length"], is_tied(graph, head),
        1000000.0 if family == "qwen2" else 500000.0, 1e-6 if family == "qwen2" else 1e-5,
    )
    return shape, weights


def weight_bytes(node: onnx.NodeProto, numbers: dict[str, object]) -> int:
    values = numbers["N"] * numbers["K"]
    blocks = values // numbers["block_size"]
    has_zero_points = len(node.input) > 3 and node.input[3] != ""
    return values * numbers["bits"] // 8 + blocks * 2 + (blocks * numbers["bits"] // 8 if has_zero_points else 0)


def is_tied(graph: onnx.GraphProto, head: onnx.NodeProto) -> bool:
    """Whether the embedding has the same bytes as the head."""
    places = {
        tensor.name: tuple(sorted((entry.key, entry.value) for entry in tensor.external_data))
        for tensor in graph.initializer
    }
    embeddings = [node for node in graph.node if node.op_type == "GatherBlockQuantized"]
    return any(places.get(node.input[0]) == places.get(head.input[1]) for node in embeddings)


def takes_more(layer: int, layers: int) -> bool:
    """llama.cpp's use_more_bits: the first and the last eighth, and every third of the rest."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def kind_of(name: str, level: str, columns: int, shape: Shape) -> Kind:
    """What llama.cpp's quantizer makes of a matrix."""
    if level == "q4_0":
        return Kind.Q4_0
    kind = Kind.Q4_K
    if name in ("token_embd", "output"):
        kind = Kind.Q6_K if name == "output" or shape.tied else Kind.Q4_K
    elif name.endswith(("attn_v", "ffn_down")):
        layer = int(name.split(".")[1])
        kind = Kind.Q6_K if takes_more(layer, shape.layers) else Kind.Q4_K
    # Rows that are no multiple of 256 cannot have the kinds with super-blocks.
    return kind if columns % 256 == 0 else {Kind.Q4_K: Kind.Q5_0, Kind.Q6_K: Kind.Q8_0}[kind]


def matrices(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Names, rows and columns."""
    query, key = shape.heads * shape.head_size, shape.key_value_heads * shape.head_size
    yield "token_embd", shape.vocabulary, shape.hidden
    if not shape.tied:
        yield "output", shape.vocabulary, shape.hidden
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield f"{block}.attn_q", query, shape.hidden
        yield f"{block}.attn_k", key, shape.hidden
        yield f"{block}.attn_v", key, shape.hidden
        yield f"{block}.attn_output", shape.hidden, query
        yield f"{block}.ffn_gate", shape.intermediate, shape.hidden
        yield f"{block}.ffn_up", shape.intermediate, shape.hidden
        yield f"{block}.ffn_down", shape.hidden, shape.intermediate


def vectors(shape: Shape) -> Iterator[tuple[str, np.ndarray]]:
    """What is not quantized: gains, and biases where the family has them."""
    gain = np.ones(shape.hidden, dtype=np.float32)
    yield "output_norm.weight", gain
    sizes = {"q": shape.heads * shape.head_size, "k": shape.key_value_heads * shape.head_size}
    sizes["v"] = sizes["k"]
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm.weight", gain
        yield f"blk.{layer}.ffn_norm.weight", gain
        if shape.family == "qwen2":
            for name, size in sizes.items():
                yield f"blk.{layer}.attn_{name}.bias", np.zeros(size, dtype=np.float32)


def quantized(rows: int, columns: int, kind: Kind, random: np.random.Generator) -> np.ndarray:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    for place, scale in SCALES[kind]:
        data[:, place : place + 2] = np.frombuffer(np.float16(scale).tobytes(), dtype=np.uint8)
    return data.reshape(rows, columns // block * size)


def metadata(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rotary_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(SPECIALS + BYTES + characters(shape.vocabulary - len(SPECIALS) - len(BYTES)))
    writer.add_token_scores([0.0] * shape.vocabulary)
    control, unknown, byte, normal = (
        gguf.TokenType.CONTROL, gguf.TokenType.UNKNOWN, gguf.TokenType.BYTE, gguf.TokenType.NORMAL)
    ordinary = shape.vocabulary - len(SPECIALS) - len(BYTES)
    writer.add_token_types([control, control, unknown, *[byte] * len(BYTES), *[normal] * ordinary])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)


def write(file: pathlib.Path, level: str, shape: Shape) -> int:
    """Writes a model, unless it is there; returns the bytes of weights that one token reads."""
    random = np.random.default_rng(0)
    read = 0
    unfinished = file.with_suffix(".part")
    writer = None if file.exists() else gguf.GGUFWriter(unfinished, shape.family)
    if writer:
        metadata(writer, shape)
        for name, vector in vectors(shape):
            writer.add_tensor(name, vector)
    for name, rows, columns in matrices(shape):
        kind = kind_of(name, level, columns, shape)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        # Of an embedding that is not the head as well, a token reads one row.
        read += 0 if name == "token_embd" and not shape.tied else rows * columns // block * size
        if writer:
            writer.add_tensor(f"{name}.weight", quantized(rows, columns, kind, random), raw_dtype=kind)
    if writer:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        unfinished.rename(file)
    return read


def forget_others(out: pathlib.Path, shape: Shape) -> None:
    """Deletes models of another shape."""
    made, wanted = out / "shape.json", json.dumps(asdict(shape), indent=1) + "\n"
    if not made.exists() or made.read_text(encoding="utf-8") != wanted:
        for model in out.glob("*.gguf"):
            model.unlink()
        made.write_text(wanted, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    shape, weights = read_package(arguments.package)
    forget_others(arguments.out, shape)
    read = {level: write(arguments.out / f"{level}.gguf", level, shape) for level in ("q4_0", "q4_k_m")}
    print(json.dumps({"shape": asdict(shape), "weight_bytes": weights, **{f"{k}_weight_bytes": v for k, v in read.items()}}))


if __name__ == "__main__":
    main()
