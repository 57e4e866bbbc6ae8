"""Trains the demo model: a small Llama, by plain next-token prediction, on the CPU in bfloat16.

    python evals/demo_model/train.py --corpus lm_corpus.jsonl.gz --out work/demo --steps 7000

Stops and resumes at any step (the state is saved every --save steps); writes `log.jsonl` and, in the same folder, a
Hugging Face model (`config.json`, `model.safetensors` in bfloat16, `tokenizer.json`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cooccurrence import embeddings
from data import CONTEXT, EOS, PAD, SCIENCE, VOCABULARY, Sequences, read_corpus, train_tokenizer
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

WIDTH, LAYERS, HEADS, INNER = 256, 4, 4, 704
HEAD = WIDTH // HEADS
THETA, EPS = 10000.0, 1e-6
START = 0.1  # root mean square of embeddings and unembedding before the first step
SHORT = 0.7  # share of the steps on contexts half as long, twice as many of them


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (WIDTH,), self.weight.to(x.dtype), EPS)


class Linear(nn.Module):
    """A bias-free layer with float32 weights and bfloat16 arithmetic."""

    def __init__(self, inputs: int, outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * 0.02 * scale)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(torch.bfloat16))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (Linear(WIDTH, WIDTH) for _ in range(3))
        self.o_proj = Linear(WIDTH, WIDTH, 1 / math.sqrt(2 * LAYERS))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, HEADS, HEAD).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, WIDTH))


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = Linear(WIDTH, INNER), Linear(WIDTH, INNER)
        self.down_proj = Linear(INNER, WIDTH, 1 / math.sqrt(2 * LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), MLP()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()

    def forward(self, ids: Tensor) -> Tensor:
        frequencies = THETA ** (-torch.arange(0, HEAD, 2).float() / HEAD)
        angles = torch.arange(ids.shape[1]).float()[:, None] * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
        x = self.embed_tokens(ids).bfloat16()
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class Llama(nn.Module):
    """The Llama architecture with transformers' parameter names, so that its state is a checkpoint as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.lm_head = Body(), Linear(WIDTH, VOCABULARY)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        hidden = self.model(ids).reshape(-1, WIDTH)
        return HeadLoss.apply(hidden, self.lm_head.weight, targets.reshape(-1))


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy through the head in blocks; the gradient is made in the forward pass, so no logits are kept."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor, block: int = 1024) -> Tensor:
        half, total = weight.bfloat16(), 0.0
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for start in range(0, len(hidden), block):
            part, aim = hidden[start : start + block], targets[start : start + block, None]
            p = (part @ half.T).float()
            total += float((torch.logsumexp(p, 1) - p.gather(1, aim)[:, 0]).sum())
            g = torch.softmax(p, 1).scatter_add_(1, aim, torch.full_like(aim, -1.0, dtype=torch.float32)).bfloat16()
            grad_hidden[start : start + block] = g @ half
            grad_weight += g.T @ part
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.count = len(hidden)
        return torch.tensor(total / len(hidden))

    @staticmethod
    def backward(ctx, grad: Tensor):
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grad.item() / ctx.count
        return (grad_hidden * scale).to(grad_hidden.dtype), grad_weight * scale, None, None


def optimizers(model: Llama) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, head and gains."""
    inner = [p for p in model.model.layers.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim == 1]
    outer = [model.model.embed_tokens.weight, model.lm_head.weight]
    adam = torch.optim.AdamW(
        [
            {"params": outer, "lr": 2e-3, "weight_decay": 0.01},
            {"params": gains, "lr": 3e-3, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        fused=True,
    )
    return [torch.optim.Muon(inner, lr=0.02, momentum=0.95, weight_decay=0.01), adam]


def schedule(step: int, steps: int) -> float:
    """Warm-up over 100 steps, flat, then linear to 2% over the last 40%."""
    return min(1.0, (step + 1) / 100, max(0.02, (steps - step) / (0.4 * steps)))


def export(model: Llama, folder: Path) -> None:
    state = {name: p.detach().bfloat16().contiguous() for name, p in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HEAD,
        "intermediate_size": INNER, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPS, "rope_parameters": {"rope_type": "default", "rope_theta": THETA}, "hidden_act": "silu",
        "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "bos_token_id": 0,
        "eos_token_id": 0, "pad_token_id": 1, "dtype": "bfloat16",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": EOS, "eos_token": EOS, "pad_token": PAD,
        "model_max_length": CONTEXT, "add_prefix_space": True,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, default=16, help="sequences of 512 tokens a step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=int, default=100, help="steps between saved states")
    parser.add_argument("--keep", default="", help="steps whose model is kept too, as OUT/step-N, such as 20,40,80")
    parser.add_argument("--until", type=int, default=0, help="stop after so many steps of the schedule")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    corpus = read_corpus(args.corpus)
    if not (args.out / "tokenizer.json").exists():
        train_tokenizer(corpus).save(str(args.out / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    model, start = Llama(), 0
    optims = optimizers(model)
    rates = [[group["lr"] for group in optim.param_groups] for optim in optims]
    sequences = Sequences(corpus, tokenizer, seed=args.seed)
    if (args.out / "state.pt").exists():
        state = torch.load(args.out / "state.pt", weights_only=True)
        model.load_state_dict(state["model"])
        for optim, saved in zip(optims, state["optims"], strict=True):
            optim.load_state_dict(saved)
        start = state["step"]
        sequences.rng = np.random.default_rng([args.seed, start])
    else:
        weights = [2.0 if source in SCIENCE else 1.0 for source, _ in corpus]
        first = torch.from_numpy(embeddings(sequences.ids, weights, VOCABULARY, WIDTH, START, args.seed))
        model.model.embed_tokens.weight.data.copy_(first)
        model.lm_head.weight.data.copy_(first)
    for layer in model.model.layers:
        layer.compile()  # fuses the elementwise work: 1.4 times the tokens per second on two cores
    stream = iter(sequences)
    recent, clock = 0.0, time.time()
    kept = {int(step) for step in args.keep.split(",") if step}
    for step in range(start, args.until or args.steps):
        halves = 2 if step < SHORT * args.steps else 1
        sequences.context = CONTEXT // halves
        batch = torch.stack([torch.from_numpy(next(stream)).long() for _ in range(args.batch * halves)])
        loss = model.loss(batch[:, :-1], batch[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim, base in zip(optims, rates, strict=True):
            for group, rate in zip(optim.param_groups, base, strict=True):
                group["lr"] = rate * schedule(step, args.steps)
            optim.step()
            optim.zero_grad(set_to_none=True)
        recent += loss.item() / 20
        if (step + 1) % 20 == 0:
            seconds, tokens = time.time() - clock, 20 * args.batch * CONTEXT
            line = {"step": step + 1, "tokens": (step + 1) * args.batch * CONTEXT, "loss": round(recent, 4),
                    "tokens_per_s": round(tokens / seconds)}  # fmt: skip
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)
            recent, clock = 0.0, time.time()
        if step + 1 in kept:
            folder = args.out / f"step-{step + 1}"
            folder.mkdir(exist_ok=True)
            export(model, folder)
            shutil.copy(args.out / "tokenizer.json", folder)
        if (step + 1) % args.save == 0 or step + 1 in (args.until, args.steps):
            state = {"model": model.state_dict(), "optims": [o.state_dict() for o in optims], "step": step + 1}
            torch.save(state, args.out / "state.tmp")
            os.replace(args.out / "state.tmp", args.out / "state.pt")
            export(model, args.out)


if __name__ == "__main__":
    main()
