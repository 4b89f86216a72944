"""Runs the package as a program would: ONNX Runtime, key/value cache, greedy."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from . import paths, tokens

Messages = list[dict[str, str]]


class Package:
    """A loaded model package; everything it needs comes from its files."""

    def __init__(self, folder: Path = paths.PACKAGE, threads: int = 1) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        self.layers: int = config["num_hidden_layers"]
        self.kv_heads: int = config["num_key_value_heads"]
        self.head_dim: int = config["head_dim"]
        self.context: int = config["max_position_embeddings"]
        self.stop: list[int] = generation["eos_token_id"]
        self.limit: int = generation["max_new_tokens"]
        self.tokenizer = tokens.load_tokenizer(folder / "tokenizer.json")
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        self.template = environment.from_string((folder / "chat_template.jinja").read_text(encoding="utf-8"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        model = next((folder / "onnx").glob("*.onnx"))
        self.session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def prompt(self, messages: Messages) -> list[int]:
        """The token ids of a conversation and the start of the answer."""
        text = self.template.render(messages=messages, add_generation_prompt=True)
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _names(self) -> list[str]:
        return [f"{n}.{kind}" for n in range(self.layers) for kind in ("key", "value")]

    def empty(self) -> dict[str, NDArray[np.float32]]:
        """A cache that holds nothing."""
        shape = (1, self.kv_heads, 0, self.head_dim)
        return {name: np.zeros(shape, np.float32) for name in self._names()}

    def step(
        self, ids: list[int], past: dict[str, NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Logits of all given tokens, and the cache after them."""
        total = next(iter(past.values())).shape[2] + len(ids)
        feeds = {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, total), np.int64)}
        feeds |= {f"past_key_values.{name}": value for name, value in past.items()}
        results = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
        return results["logits"][0], {name: results[f"present.{name}"] for name in self._names()}

    def generate(self, messages: Messages, chunk: int = 512) -> str:
        """The greedy answer; the prompt is fed in chunks."""
        return self.tokenizer.decode(self.generate_ids(self.prompt(messages), chunk))

    def generate_ids(self, prompt: list[int], chunk: int = 512) -> list[int]:
        """The token ids of the greedy answer, without the end token."""
        past = self.empty()
        for start in range(0, len(prompt), chunk):
            logits, past = self.step(prompt[start : start + chunk], past)
        answer: list[int] = []
        while len(answer) < min(self.limit, self.context - len(prompt)):
            token = int(logits[-1].argmax())
            if token in self.stop:
                break
            answer.append(token)
            logits, past = self.step([token], past)
        return answer

    def generate_ids_shared(self, prompt: list[int], chunk: int = 512) -> list[int]:
        """The same through one fixed buffer that is both past and present."""
        shape = (1, self.kv_heads, self.context, self.head_dim)
        cache = {name: ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)) for name in self._names()}

        def step(ids: list[int], total: int) -> NDArray[np.float32]:
            binding = self.session.io_binding()
            binding.bind_cpu_input("input_ids", np.array([ids], np.int64))
            binding.bind_cpu_input("attention_mask", np.ones((1, total), np.int64))
            for name, value in cache.items():
                binding.bind_ortvalue_input(f"past_key_values.{name}", value)
                binding.bind_ortvalue_output(f"present.{name}", value)
            binding.bind_output("logits")
            self.session.run_with_iobinding(binding)
            return binding.get_outputs()[-1].numpy()[0]

        done = 0
        for start in range(0, len(prompt), chunk):
            part = prompt[start : start + chunk]
            done += len(part)
            logits = step(part, done)
        answer: list[int] = []
        while len(answer) < min(self.limit, self.context - len(prompt)):
            token = int(logits[-1].argmax())
            if token in self.stop:
                break
            answer.append(token)
            done += 1
            logits = step([token], done)
        return answer
