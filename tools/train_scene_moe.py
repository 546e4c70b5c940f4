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
from typing import Any

import torch
import typer
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from r2t2_core.models.scene_moe.configuration_scene_moe import OWNERS, SceneMoeConfig
from r2t2_core.models.scene_moe.modeling_scene_moe import (
    Encoded,
    SceneMoeForQuestionAnswering,
)
from r2t2_core.models.scene_moe.processing_scene_moe import SceneMoeProcessor
from r2t2_core.scenes.questions import ANSWERS, FAMILIES
from tools.batches import Batches, joined
from tools.multilingual_tokens import build_embeddings, build_tokenizer, choose, read_pieces
from tools.scene_data import MAP_SIZE, load
from tools.second_stage import (
    LANGUAGE_EPOCHS,
    ROUTER_EPOCHS,
    encode_split,
    speak_anew,
    train_language,
    train_router,
)
from tools.splits import SPLITS, Split

app = typer.Typer(add_completion=False)

BATCH = 256
Tensor = torch.Tensor


def limited(name: str, scenes: int | None) -> Split:
    """Return a split, or its first scenes."""
    split = SPLITS[name]
    return split if scenes is None else replace(split, scenes=min(scenes, split.scenes))


def build_model() -> tuple[SceneMoeForQuestionAnswering, SceneMoeProcessor]:
    """Make an untrained model with ready word-piece embeddings, and its processor."""
    torch.manual_seed(0)
    pieces = read_pieces()
    rows = choose(pieces)
    config = SceneMoeConfig(answers=ANSWERS, vocab_size=len(rows) + 2)
    model = SceneMoeForQuestionAnswering(config)
    with torch.no_grad():
        vectors = build_embeddings(pieces, rows, config.token_size)
        model.question_encoder.embedding.weight.copy_(vectors)
    return model, SceneMoeProcessor(build_tokenizer(pieces, rows))


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
        encoded = model.encode_shared(*data.inputs(index))
        outputs, _ = own_expert_outputs(model, encoded, data, index)
        hits.append(model.head(outputs).argmax(1) == data.answer[index])
    right = torch.cat(hits).float()
    return {
        family: round(right[data.family == number].mean().item(), 3)
        for number, family in enumerate(FAMILIES)
    }


@dataclass(frozen=True)
class Phase:
    """A stretch of the first stage with a schedule of its own.

    Attributes
    ----------
    splits : tuple of str
    keep : tuple of float
        Share of the questions of each family that an epoch takes, in the order of `FAMILIES`.
    epochs, planned : int
        Epochs that are run, of those for which the schedule is laid out.
    step_size : float
        The schedule's greatest.
    """

    splits: tuple[str, ...]
    keep: tuple[float, ...]
    epochs: int
    planned: int
    step_size: float


PHASES = (
    Phase(("train-1",), (1.0,) * len(FAMILIES), 4, 6, 2e-3),
    # Reading, charts and kinds come last: more of them, less of what is known by now.
    Phase(
        ("train-1", "train-1-more"),
        (0.35, 1.0, 1.0, 0.35, 0.7, 1.0, 0.7, 1.0, 0.7, 1.0),
        4,
        4,
        1.6e-3,
    ),
)


@app.command()
def stage1(
    work: Path = Path("build/training"),
    stop_after: int | None = None,
    scenes: int | None = None,
) -> None:
    """Train everything but the router and the language expert; go on from a checkpoint if any.

    `stop_after` ends the call after so many epochs of all phases together; `scenes` makes splits
    no larger, for a trial.
    """
    torch.set_num_threads(2)
    model, processor = build_model()
    model.to(memory_format=torch.channels_last)
    validation = Batches(load(limited("validation", scenes), work), processor)
    path = work / "stage1.pt"
    state = torch.load(path, weights_only=True) if path.is_file() else {"epoch": 0, "log": []}
    if "model" in state:
        model.load_state_dict(state["model"])
    before = 0
    for phase in PHASES:
        last = min(before + phase.epochs, stop_after or before + phase.epochs)
        if state["epoch"] < last:
            parts = [load(limited(name, scenes), work) for name in phase.splits]
            train = Batches(joined(parts), processor)
            state = run_phase(model, phase, before, last, train, validation, state, path)
        before += phase.epochs


def run_phase(
    model: SceneMoeForQuestionAnswering,
    phase: Phase,
    before: int,
    last: int,
    train: Batches,
    validation: Batches,
    state: dict[str, Any],
    path: Path,
) -> dict[str, Any]:
    """Train up to epoch `last` of all phases, `before` of which came earlier; return the state."""
    skip = ("router", "experts.language", "question_encoder.embedding")
    parameters = [p for n, p in model.named_parameters() if not n.startswith(skip)]
    keep = torch.tensor(phase.keep)[train.family]
    steps = int(keep.sum()) // BATCH
    print(
        f"{sum(p.numel() for p in parameters):,} parameters, {len(train):,} questions, of which "
        f"{int(keep.sum()):,} an epoch",
        flush=True,
    )
    optimiser = torch.optim.AdamW(parameters, phase.step_size / 2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, phase.step_size, total_steps=phase.planned * steps + 1, pct_start=0.1
    )
    if state["epoch"] > before:
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    log = list(state["log"])
    began = time.time()
    for epoch in range(max(before, state["epoch"]), last):
        model.train()
        generator = torch.Generator().manual_seed(epoch)
        order = train.order(generator)
        order = order[torch.rand(len(order), generator=generator) < keep[order]]
        total = 0.0
        for step, index in enumerate(order.split(BATCH)[:steps]):
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
    return state


def stage1_loss(
    model: SceneMoeForQuestionAnswering, train: Batches, index: Tensor, generator: torch.Generator
) -> Tensor:
    """Cross-entropy through the own expert, mixed with another one, and where experts look."""
    encoded = model.encode_shared(*train.inputs(index))
    own, looking = own_expert_outputs(model, encoded, train, index)
    names = [name for name in model.config.experts if name != "language"]
    other = names[int(torch.randint(len(names), (1,), generator=generator))]
    # A third of the batch is mixed; the other expert is not trained on what is not its own.
    half = len(index) // 3
    with torch.no_grad():
        mixed_in = model.scale(model.experts[other](encoded.rows(torch.arange(half))))
    weight = 1 - 0.6 * torch.rand(half, 1, generator=generator)
    mixed = weight * own[:half] + (1 - weight) * mixed_in
    logits = model.head(torch.cat([mixed, own[half:]]))
    return F.cross_entropy(logits, train.answer[index]) + looking


@app.command()
def stage2(
    work: Path = Path("build/training"),
    out: Path = Path("sample_data/model"),
    language_epochs: int = LANGUAGE_EPOCHS,
    router_epochs: int = ROUTER_EPOCHS,
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
    train_language(model, split, train.answer, language_epochs, seed=100)
    model.experts["language"].requires_grad_(False)
    speak_anew(model, split)
    model.router.requires_grad_(True)
    train_router(model, split, train.answer, router_epochs, seed=200)
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
