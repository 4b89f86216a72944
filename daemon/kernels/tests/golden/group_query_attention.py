"""Writes group_query_attention.txt: what ONNX Runtime's GroupQueryAttention gives for numbers
that the test computes in the same way. Needs onnx, onnxruntime and numpy."""

from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

HEADS, KEY_VALUE_HEADS, SIZE, PAST, ROWS = 4, 2, 32, 37, 2
TOTAL = PAST + ROWS
CASES = {
    "plain": {},
    "rotary": {"do_rotary": 1},
    "interleaved": {"do_rotary": 1, "rotary_interleaved": 1},
    "partial": {"do_rotary": 1},
    "scale": {"scale": 0.7},
    "softcap": {"softcap": 1.5},
    "window": {"local_window_size": 5},
    "smooth": {"smooth_softmax": 1},
    "sink": {},
}


def numbers(seed, *shape):
    index = np.arange(np.prod(shape), dtype=np.uint64)
    bits = (index * np.uint64(2654435761) + np.uint64(seed) * np.uint64(40503)) & np.uint64(0xFFFFFFFF)
    bits = (bits * (bits >> np.uint64(15) | np.uint64(1))) & np.uint64(0xFFFFFFFF)
    return ((bits >> np.uint64(16)).astype(np.float32) / np.float32(32768) - np.float32(1)).reshape(shape)


def run(name, attributes):
    half = SIZE // 4 if name == "partial" else SIZE // 2
    angles = numbers(4, TOTAL, half)
    width = KEY_VALUE_HEADS * SIZE
    feeds = {"query": numbers(1, 1, TOTAL, HEADS * SIZE)}
    for index, side in enumerate(("key", "value")):
        feeds[side] = numbers(2 + index, 1, TOTAL, width)
        feeds["past_" + side] = np.zeros((1, KEY_VALUE_HEADS, 0, SIZE), np.float32)
    feeds["seqlens_k"] = np.array([TOTAL - 1], np.int32)
    feeds["total_sequence_length"] = np.array(TOTAL, np.int32)
    names = ["query", "key", "value", "past_key", "past_value", "seqlens_k", "total_sequence_length"]
    if "do_rotary" in attributes:
        feeds["cos"], feeds["sin"] = np.cos(angles), np.sin(angles)
    names += ["cos", "sin"] if "do_rotary" in attributes else ["", ""]
    if name == "sink":
        feeds["sink"] = numbers(5, HEADS)
        names += ["", "", "sink"]
    node = helper.make_node(
        "GroupQueryAttention", names, ["out", "present_key", "present_value"], domain="com.microsoft",
        num_heads=HEADS, kv_num_heads=KEY_VALUE_HEADS, **attributes,
    )
    value = lambda name, array: helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output]
    graph = helper.make_graph([node], "attention", [value(*feed) for feed in feeds.items()], outputs)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # Eight numbers of each head tell as much as all.
    heads = session.run(["out"], feeds)[0].reshape(TOTAL, HEADS, SIZE)
    return heads[PAST:, :, ::4].reshape(ROWS, -1)


lines = []
for name, attributes in CASES.items():
    lines.append(name)
    lines += [" ".join(f"{number:.6f}" for number in row) for row in run(name, attributes)]
Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")
