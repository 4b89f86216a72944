#!/usr/bin/env python3
"""llama.cpp as the other side of a benchmark: one order per line in, one line of JSON out.

    python3 peer.py MODEL THREADS

{"do": "nothing"} is answered before the model is loaded, so that what the process takes without it
can be seen. {"do": "prompt", "tokens": 512} reads a prompt of that many tokens, all of them different from the
last. {"do": "decode", "streams": 4, "prompt": 32, "tokens": 128, "context": 256} reads a prompt for
every stream, which is not timed, and decodes until every stream has that many tokens, all streams
in one batch per step; `context` is the length of one stream's. Both answer with `tokens`, how many
were timed, and `seconds`. Anything that fails ends the process.

The low-level interface is used, so that nothing but llama.cpp's own work is timed: a batch, one
call, the likeliest token of each row.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

import llama_cpp
import numpy as np

# Tokens of one call at most, llama.cpp's default.
BATCH = 2048
# The first tokens of a vocabulary are special ones and bytes.
FIRST_ORDINARY = 512


@dataclass(frozen=True)
class Room:
    """How many streams of which length."""

    context: int
    streams: int


class Peer:
    """A model, and a context that is made anew when another room is asked for."""

    def __init__(self, model: str, threads: int) -> None:
        llama_cpp.llama_backend_init()
        self.threads = threads
        self.model = llama_cpp.llama_model_load_from_file(model.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {model}")
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.random = np.random.default_rng(1)
        self.room: Room | None = None
        self.context = None
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def enter(self, room: Room) -> None:
        """An empty context."""
        if self.room != room:
            if self.context:
                llama_cpp.llama_free(self.context)
            parameters = llama_cpp.llama_context_default_params()
            parameters.n_ctx = room.context * room.streams
            parameters.n_seq_max = room.streams
            parameters.n_batch = BATCH
            parameters.n_threads = parameters.n_threads_batch = self.threads
            self.context = llama_cpp.llama_init_from_model(self.model, parameters)
            if not self.context:
                raise SystemExit("llama.cpp makes no context")
            self.room = room
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def step(self, rows: list[tuple[int, int, int]], wanted: set[int]) -> None:
        """Computes rows of token, place and stream; logits are wanted of some of them."""
        self.batch.n_tokens = len(rows)
        for index, (token, place, stream) in enumerate(rows):
            self.batch.token[index] = token
            self.batch.pos[index] = place
            self.batch.n_seq_id[index] = 1
            self.batch.seq_id[index][0] = stream
            self.batch.logits[index] = index in wanted
        status = llama_cpp.llama_decode(self.context, self.batch)
        if status != 0:
            raise SystemExit(f"llama_decode says {status}")

    def likeliest(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self.context, row)
        return int(np.ctypeslib.as_array(logits, shape=(self.vocabulary,)).argmax())

    def read(self, tokens: int, stream: int) -> int:
        """Reads a prompt and returns the likeliest next token."""
        prompt = self.random.integers(FIRST_ORDINARY, self.vocabulary, tokens).tolist()
        for start in range(0, tokens, BATCH):
            part = prompt[start : start + BATCH]
            last = len(part) - 1 if start + BATCH >= tokens else -1
            self.step([(token, start + index, stream) for index, token in enumerate(part)], {last})
        return self.likeliest(last)

    def prompt(self, tokens: int) -> dict[str, float]:
        self.enter(Room(tokens + 1, 1))
        begin = time.perf_counter()
        self.read(tokens, 0)
        return {"tokens": tokens, "seconds": time.perf_counter() - begin}

    def decode(self, streams: int, prompt: int, tokens: int, context: int) -> dict[str, float]:
        self.enter(Room(context, streams))
        following = [self.read(prompt, stream) for stream in range(streams)]
        begin = time.perf_counter()
        for place in range(prompt, prompt + tokens - 1):
            rows = [(token, place, stream) for stream, token in enumerate(following)]
            self.step(rows, set(range(streams)))
            following = [self.likeliest(row) for row in range(streams)]
        return {"tokens": (tokens - 1) * streams, "seconds": time.perf_counter() - begin}


def main() -> None:
    # llama.cpp tells what it loads, to standard error.
    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, None)
    peer = None
    for line in sys.stdin:
        order = json.loads(line)
        what = order.pop("do")
        if what == "nothing":
            answer = {}
        else:
            peer = peer or Peer(sys.argv[1], int(sys.argv[2]))
            answer = {"prompt": peer.prompt, "decode": peer.decode}[what](**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
