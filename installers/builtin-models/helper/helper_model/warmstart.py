"""A start for the training that already knows which words are telling.

Learning which words give which intent away takes a decoder most of its time, but
a classifier that only looks at the mean of word vectors learns it in a minute. So
that classifier is trained first, and its vectors become part of the embeddings:

- some dimensions of the embedding hold the vector of the token;
- one dimension is the same for all tokens, so that the normalisation in front of
  the first layer keeps telling words longer than the others;
- the first attention starts by looking at everything alike, and copies the mean of
  the vectors into dimensions of their own.

Everything is trained further from there; nothing of it is fixed.
"""

from __future__ import annotations

from itertools import islice

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from .data import Generator
from .model import Config, Llama

BATCH = 256
CONSTANT = 1.0
"""The dimension that is the same for all tokens: its value."""
SIZE = 0.05
"""The root mean square of the word vectors in the embedding."""
VECTORS_AT = 32
"""The first dimension of the word vectors; their mean comes right behind them."""


def word_vectors(generator: Generator, tokenizer: Tokenizer, config: Config, steps: int) -> Tensor:
    """Vectors ``[vocabulary, key/value width]`` whose mean tells the intent."""
    width = config.num_key_value_heads * config.head_dim
    ids = {intent.id: number for number, intent in enumerate(generator.facts.intents)}
    vectors = nn.EmbeddingBag(config.vocab_size, width, mode="mean")
    classes = nn.Linear(width, len(ids))
    nn.init.normal_(vectors.weight, std=0.05)
    peak = 5e-3
    optimizer = torch.optim.Adam([*vectors.parameters(), *classes.parameters()], lr=peak)
    turns = generator.turns()
    hits = 0.0
    for step in range(steps):
        batch = list(islice(turns, BATCH))
        questions = [encoding.ids for encoding in tokenizer.encode_batch([turn.question for turn in batch])]
        offsets = torch.tensor([0, *(len(q) for q in questions[:-1])]).cumsum(0)
        scores = classes(vectors(torch.tensor([token for q in questions for token in q]), offsets))
        wanted = torch.tensor([ids[turn.intent.id] for turn in batch])
        loss = F.cross_entropy(scores, wanted)
        for group in optimizer.param_groups:
            group["lr"] = peak * (1 - step / steps) + 1e-4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hits = 0.98 * hits + 0.02 * float((scores.argmax(1) == wanted).float().mean())
    print(f"word vectors: {hits:.3f} of the last training questions right", flush=True)
    return vectors.weight.detach()


@torch.no_grad()
def apply(model: Llama, vectors: Tensor) -> None:
    """Put the vectors into a fresh model."""
    width = vectors.shape[1]
    own, mean = slice(VECTORS_AT, VECTORS_AT + width), slice(VECTORS_AT + width, VECTORS_AT + 2 * width)
    table = model.model.embed_tokens.weight
    table[:, 0] = CONSTANT
    table[:, own] = vectors * (SIZE / vectors.pow(2).mean().sqrt())
    table[:, mean] = 0.0

    attention = model.model.layers[0].self_attn
    attention.q_proj.weight.mul_(0.1)
    attention.v_proj.weight.zero_()
    attention.v_proj.weight[:, own] = torch.eye(width)
    # Query head h reads key/value head h / group; one query head of each group writes.
    group = attention.heads // attention.kv_heads
    for head in range(attention.kv_heads):
        start = head * group * attention.dim
        rows = slice(mean.start + head * attention.dim, mean.start + (head + 1) * attention.dim)
        attention.o_proj.weight[rows, :] = 0.0
        attention.o_proj.weight[rows, start : start + attention.dim] = torch.eye(attention.dim)
