#!/usr/bin/env python3
"""Makes tests/testdata/quantization/llamacpp.json: what llama.cpp's quantizer loses on matrices that the tests make too.

The matrices are computed from counters, here and in the tests of the quantizer, and so are not kept: the file has a few
weights of each to compare. A loss is the root of the mean squared error, as a part of that of the weights; llama.cpp
quantizes without an importance matrix, as its Q4_K_M does unless it is given one.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from importlib.metadata import version
from pathlib import Path

import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import quants

HERE = Path(__file__).resolve().parent
ROWS, COLUMNS = 64, 1024
KINDS = [Kind.Q4_0, Kind.Q4_K, Kind.Q6_K]
STREAMS = 1 << 40
DEVIATION = 0.02


def uniform(stream: int, count: int) -> np.ndarray:
    """Numbers from 0 to 1, exclusive: splitmix64 of a counter."""
    number = np.arange(count, dtype=np.uint64) + np.uint64(stream * STREAMS)
    with np.errstate(over="ignore"):
        number = (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    number ^= number >> np.uint64(31)
    return ((number >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)


def normal(stream: int, count: int) -> np.ndarray:
    """From two streams, the second of them 100 further."""
    return np.sqrt(-2 * np.log(uniform(stream, count))) * np.cos(2 * np.pi * uniform(stream + 100, count))


def student_t(stream: int, count: int, freedom: int) -> np.ndarray:
    squares = sum(normal(stream + 1 + number, count) ** 2 for number in range(freedom))
    return normal(stream, count) / np.sqrt(squares / freedom)


def laplace(stream: int, count: int) -> np.ndarray:
    return -np.log(uniform(stream, count)) * np.where(uniform(stream + 100, count) < 0.5, -1.0, 1.0)


def matrices() -> dict[str, np.ndarray]:
    size = ROWS * COLUMNS
    shaped = {
        "normal": normal(1, size),
        "student_t_6": student_t(2, size, 6),
        "student_t_4": student_t(10, size, 4),
        "laplace": laplace(20, size),
        "varying_rows": normal(30, size) * np.repeat(np.exp(0.5 * normal(31, ROWS)), COLUMNS),
        "varying_columns": normal(40, size) * np.tile(np.exp(0.5 * normal(41, COLUMNS)), ROWS),
    }
    return {name: (DEVIATION * values).reshape(ROWS, COLUMNS).astype(np.float32) for name, values in shaped.items()}


def quantizer() -> ctypes._NamedFuncPointer:
    library = next((Path(llama_cpp.__file__).parent / "lib").glob("*ggml-base.*"))
    chunk = ctypes.CDLL(str(library)).ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
    ]  # fmt: skip
    return chunk


def loss(chunk: ctypes._NamedFuncPointer, values: np.ndarray, kind: Kind) -> float:
    out = np.zeros(quants.quant_shape_to_byte_shape(values.shape, kind), dtype=np.uint8)
    written = chunk(int(kind), values.ctypes.data, out.ctypes.data, 0, ROWS, COLUMNS, None)
    if written != out.nbytes:
        raise SystemExit(f"{kind.name}: {written} bytes written, {out.nbytes} expected")
    exact = values.astype(np.float64)
    errors = quants.dequantize(out, kind).astype(np.float64) - exact
    return float(np.sqrt((errors**2).sum() / (exact**2).sum()))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    chunk = quantizer()
    found = [
        {
            "name": name,
            "beginning": [float(value) for value in values.ravel()[:4]],
            **{kind.name.lower(): round(loss(chunk, values, kind), 6) for kind in KINDS},
        }
        for name, values in matrices().items()
    ]
    golden = {
        "source": f"ggml_quantize_chunk of llama-cpp-python {version('llama-cpp-python')}",
        "rows": ROWS,
        "columns": COLUMNS,
        "matrices": found,
    }
    target = HERE.parent / "quantization" / "llamacpp.json"
    target.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
