"""Learn the task embedding's read-out from the generator's sentence pairs.

    python -m tools.train_readout

Each pair says one thing twice: another wording, perhaps the other language. Two losses: pairs
find each other among all sentences of a batch, and questions of one task lie together whatever
things they are about. The share of the task in the similarity is chosen on sentences of other
scenes (validation's seeds and wordings): English twins found, neighbours of the same task.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer
from safetensors.numpy import save_file
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from r2t2_core.embedding.multilingual import SentenceEncoder, TaskReadout
from r2t2_core.scenes.names import DEPTH
from r2t2_core.scenes.phrasings import LANGUAGES
from r2t2_core.scenes.questions import FAMILIES, Asked, draft, word
from r2t2_core.settings import SAMPLE_DATA
from tools.scene_data import draw_scene
from tools.splits import SPLITS

SIZE = 96
"""Dimensions of the task part."""

PAIRS = 7_000
STEPS = 1_500
BATCH = 384
TEMPERATURE = 0.07
TWINS = 1_500
SHARES = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)


@dataclass(frozen=True)
class Pairs:
    """Sentence vectors of what was said twice (n, 384), and the task of each (n,), int64."""

    first: np.ndarray
    second: np.ndarray
    task: np.ndarray


def task_of(asked: Asked, family: str) -> str:
    """Name the task: the family, and for a relation whether it is about depth."""
    return f"{family}, depth" if asked.relation in DEPTH else family


def draw_pairs(
    encoder: SentenceEncoder, split: str, count: int, groups: tuple[str, ...], twins: bool
) -> Pairs:
    """Say `count` things twice; `twins` in Japanese first and in English second."""
    said: list[tuple[str, str, str]] = []
    number = 0
    while len(said) < count:
        scene, rng = draw_scene(SPLITS[split], number % SPLITS[split].scenes)
        rng = random.Random(f"pairs {number}")
        number += 1
        family = FAMILIES[number % len(FAMILIES)]
        asked = draft(rng, scene, family)
        if asked is None:
            continue
        languages = ("ja", "en") if twins else (rng.choice(LANGUAGES), rng.choice(LANGUAGES))
        one, other = (
            word(rng, asked, family, rng.choice(groups), language) for language in languages
        )
        said.append((one, other, task_of(asked, family)))
    tasks = {name: place for place, name in enumerate(sorted({task for _, _, task in said}))}
    return Pairs(
        encoder.encode([one for one, _, _ in said]),
        encoder.encode([other for _, other, _ in said]),
        np.array([tasks[task] for _, _, task in said]),
    )


def learn(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (384,) and the matrix (384, SIZE)."""
    mean = np.concatenate([pairs.first, pairs.second]).mean(0)
    first, second = (
        F.normalize(torch.from_numpy(part - mean), dim=1) for part in (pairs.first, pairs.second)
    )
    task = torch.from_numpy(pairs.task)
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(first.shape[1], SIZE, generator=generator) / first.shape[1] ** 0.5
    matrix.requires_grad_(True)
    optimiser = torch.optim.AdamW([matrix], 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        rows = torch.randperm(len(task), generator=generator)[:BATCH]
        one = F.normalize(first[rows] @ matrix, dim=1)
        other = F.normalize(second[rows] @ matrix, dim=1)
        logits = one @ other.T / TEMPERATURE
        same = (task[rows, None] == task[None, rows]).float()
        twins = F.cross_entropy(logits, torch.arange(len(rows)))
        # Supervised contrast (Khosla et al. 2020): all sentences of the same task are positives.
        together = -(logits.log_softmax(1) * same).sum(1) / same.sum(1)
        loss = together.mean() + 0.5 * twins
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return mean, matrix.detach().numpy()


def judge(readout: TaskReadout, pairs: Pairs) -> dict[str, float]:
    """Return how often the English twin is among the five nearest, and the nearest's task right."""
    japanese, english = readout.apply(pairs.first), readout.apply(pairs.second)
    near = np.argsort(-(japanese @ english.T), axis=1)[:, :5]
    own = np.arange(len(japanese))[:, None]
    others = japanese @ english.T
    np.fill_diagonal(others, -1)
    nearest = np.argsort(-others, axis=1)[:, :5]
    return {
        "twin_among_five": round(float((near == own).any(1).mean()), 4),
        "same_task_of_five": round(float((pairs.task[nearest] == pairs.task[:, None]).mean()), 4),
    }


def main(out: Path = SAMPLE_DATA / "embedding") -> None:
    """Learn, choose the share, write."""
    encoder = SentenceEncoder()
    mean, matrix = learn(draw_pairs(encoder, "train-1", PAIRS, ("narrow", "broad"), twins=False))
    groups = {"broad": ("broad",), "held_out": ("held_out",), "free": ("free",)}
    twins = {
        name: draw_pairs(encoder, "validation", TWINS, group, twins=True)
        for name, group in groups.items()
    }
    tried = {
        share: {
            name: judge(TaskReadout(mean, matrix, share), pairs) for name, pairs in twins.items()
        }
        for share in SHARES
    }
    # Broad wordings choose; held-out and free ones are only reported.
    chosen = max(SHARES, key=lambda share: sum(tried[share]["broad"].values()))
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {"mean": mean, "matrix": matrix, "share": np.array([chosen], dtype=np.float32)},
        str(out / "readout.safetensors"),
    )
    report = {
        "chosen_share": chosen,
        "twins": TWINS,
        "tried": {str(s): t for s, t in tried.items()},
    }
    (out / "readout.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    typer.run(main)
