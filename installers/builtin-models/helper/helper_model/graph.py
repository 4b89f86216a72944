"""The ONNX graph of the model, written node by node.

It follows what ONNX Runtime runs fastest on a CPU: ``GroupQueryAttention`` with
rotary positions and a key/value cache, and ``MatMulNBits`` with 8-bit weights
and 8-bit arithmetic (``accuracy_level`` 4).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .model import Config
from .quantize import BLOCK, quantize

MICROSOFT = "com.microsoft"
Weights = dict[str, NDArray[np.float32]]


class Builder:
    """Collects nodes and initializers."""

    def __init__(self, accuracy_level: int) -> None:
        self.accuracy_level = accuracy_level
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add an initializer."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: object) -> str:
        """Add a node; returns its first output."""
        self.nodes.append(
            helper.make_node(op, inputs, outputs, name=f"/{outputs[0]}/{op}", domain=domain, **attributes)
        )
        return outputs[0]

    def matmul(self, x: str, name: str, weight: NDArray[np.float32], output: str) -> str:
        """``x`` times the transposed ``[out, in]`` matrix, in 8 bits."""
        quantized = quantize(weight)
        rows, columns = quantized.shape
        data = self.constant(f"{name}.weight_q8", quantized.data)
        scales = self.constant(f"{name}.weight_scales", quantized.scales)
        return self.node(
            "MatMulNBits",
            [x, data, scales],
            [output],
            MICROSOFT,
            K=columns,
            N=rows,
            bits=8,
            block_size=BLOCK,
            accuracy_level=self.accuracy_level,
        )

    def norm(self, x: str, name: str, weight: NDArray[np.float32], epsilon: float) -> str:
        """RMSNorm."""
        scale = self.constant(f"{name}.weight", weight)
        return self.node("SimplifiedLayerNormalization", [x, scale], [f"{name}.out"], axis=-1, epsilon=epsilon)


def build(config: Config, weights: Weights, accuracy_level: int = 4) -> onnx.ModelProto:
    """The graph with the weights inside; same weights, same bytes."""
    b = Builder(accuracy_level)
    eps = config.rms_norm_eps
    kv_shape = ["batch_size", config.num_key_value_heads, "past_sequence_length", config.head_dim]
    present_shape = ["batch_size", config.num_key_value_heads, "total_sequence_length", config.head_dim]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
    ]
    outputs = [
        helper.make_tensor_value_info(
            "logits", TensorProto.FLOAT, ["batch_size", "sequence_length", config.vocab_size]
        )
    ]

    # How many keys each row has (less one), and how long the longest is.
    axis = b.constant("mask.axis", np.array([1], dtype=np.int64))
    one = b.constant("mask.one", np.array(1, dtype=np.int64))
    width_at = b.constant("mask.width_at", np.array(1, dtype=np.int64))
    summed = b.node("ReduceSum", ["attention_mask", axis], ["mask.sum"], keepdims=0)
    less = b.node("Sub", [summed, one], ["mask.last"])
    seqlens = b.node("Cast", [less], ["seqlens_k"], to=TensorProto.INT32)
    shape = b.node("Shape", ["attention_mask"], ["mask.shape"])
    width = b.node("Gather", [shape, width_at], ["mask.width"], axis=0)
    total = b.node("Cast", [width], ["total_sequence_length"], to=TensorProto.INT32)

    half = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    angles = np.outer(np.arange(config.max_position_embeddings), config.rope_theta**-half)
    cos = b.constant("cos_cache", np.cos(angles).astype(np.float32))
    sin = b.constant("sin_cache", np.sin(angles).astype(np.float32))

    embedding = weights["model.embed_tokens.weight"]
    table = b.constant("model.embed_tokens.weight", embedding.astype(np.float16))
    half_x = b.node("Gather", [table, "input_ids"], ["model.embed_tokens.half"], axis=0)
    x = b.node("Cast", [half_x], ["model.embed_tokens.out"], to=TensorProto.FLOAT)

    for number in range(config.num_hidden_layers):
        layer = f"model.layers.{number}"
        past = [f"past_key_values.{number}.{kind}" for kind in ("key", "value")]
        present = [f"present.{number}.{kind}" for kind in ("key", "value")]
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, kv_shape) for name in past]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, present_shape) for name in present]

        name = f"{layer}.input_layernorm"
        normed = b.norm(x, name, weights[f"{name}.weight"], eps)
        attention = f"{layer}.self_attn"
        qkv = [
            b.matmul(normed, f"{attention}.{p}_proj", weights[f"{attention}.{p}_proj.weight"], f"{attention}.{p}")
            for p in "qkv"
        ]
        attended = b.node(
            "GroupQueryAttention",
            [*qkv, *past, seqlens, total, cos, sin],
            [f"{attention}.out", *present],
            MICROSOFT,
            num_heads=config.num_attention_heads,
            kv_num_heads=config.num_key_value_heads,
            scale=config.head_dim**-0.5,
            do_rotary=1,
            rotary_interleaved=0,
        )
        name = f"{attention}.o_proj"
        projected = b.matmul(attended, name, weights[f"{name}.weight"], f"{name}.out")
        x = b.node("Add", [x, projected], [f"{layer}.attended"])

        name = f"{layer}.post_attention_layernorm"
        normed = b.norm(x, name, weights[f"{name}.weight"], eps)
        mlp = f"{layer}.mlp"
        gate = b.matmul(normed, f"{mlp}.gate_proj", weights[f"{mlp}.gate_proj.weight"], f"{mlp}.gate")
        up = b.matmul(normed, f"{mlp}.up_proj", weights[f"{mlp}.up_proj.weight"], f"{mlp}.up")
        sigmoid = b.node("Sigmoid", [gate], [f"{mlp}.sigmoid"])
        silu = b.node("Mul", [gate, sigmoid], [f"{mlp}.silu"])
        product = b.node("Mul", [silu, up], [f"{mlp}.product"])
        down = b.matmul(product, f"{mlp}.down_proj", weights[f"{mlp}.down_proj.weight"], f"{mlp}.out")
        x = b.node("Add", [x, down], [f"{layer}.out"])

    normed = b.norm(x, "model.norm", weights["model.norm.weight"], eps)
    b.matmul(normed, "lm_head", embedding, "logits")

    graph = helper.make_graph(b.nodes, "builtin-helper", inputs, outputs, b.initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="ai-runner")
