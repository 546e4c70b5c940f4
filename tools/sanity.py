"""What a reviewer would ask of the model: is the gap the router's, and how far do priors carry?

    python -m tools.sanity

Trains routers and language experts on copies (the shipped weights stay as they are) and writes
`sample_data/model/sanity.json`, from which the model card prints its tables. All accuracies are of
splits of their own, not of the shipped suites.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import typer

from r2t2_core.models.scene_moe import OWNERS, SceneMoeAdapter, SceneMoeForQuestionAnswering
from r2t2_core.scenes.phrasings import LANGUAGES
from r2t2_core.scenes.questions import ANSWERS, FAMILIES
from r2t2_core.settings import Settings
from tools.batches import Batches
from tools.scene_data import load
from tools.second_stage import (
    LANGUAGE_EPOCHS,
    PENALTY,
    ROUTER_EPOCHS,
    EncodedSplit,
    encode_split,
    right_under_router,
    speak_anew,
    train_language,
    train_router,
)
from tools.splits import BROAD_STYLES, SPLITS, Split

Tensor = torch.Tensor

SEEDS = (200, 300, 400)
TOP_K = (1, 2, 3, 7)
BROAD_SCENES = 4_000
BROAD_SEED = 85_000_000


@dataclass(frozen=True)
class Part:
    """A split, encoded."""

    data: Batches
    encoded: EncodedSplit


def encoded_part(model: SceneMoeForQuestionAnswering, adapter: SceneMoeAdapter, split: Split,
                 work: Path) -> Part:  # fmt: skip
    """Draw (or read) and encode a split."""
    data = Batches(load(split, work), adapter.processor)
    return Part(data, encode_split(model, data))


def accuracy(right: Tensor) -> float:
    """Return the share of right answers."""
    return round(float(right.float().mean()), 4)


def with_router(
    model: SceneMoeForQuestionAnswering, train: Part, seed: int, **changes: Any
) -> SceneMoeForQuestionAnswering:
    """Return a copy whose router was trained anew on a split.

    `changes` may hold `penalty`, and `top_k` for another gate.
    """
    made = copy.deepcopy(model)
    made.config.num_experts_per_question = changes.get("top_k", 2)
    torch.manual_seed(seed)
    for layer in made.router:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    made.router.requires_grad_(True)
    penalty = changes.get("penalty", PENALTY)
    train_router(made, train.encoded, train.data.answer, ROUTER_EPOCHS, seed, penalty)
    return made


def right_uniform(model: SceneMoeForQuestionAnswering, part: Part) -> Tensor:
    """Return which answers are right with all experts alike."""
    outputs = part.encoded.outputs
    weights = torch.full(outputs.shape[:2], 1 / outputs.shape[1])
    return model.mix(outputs, weights).argmax(1) == part.data.answer


def right_own(model: SceneMoeForQuestionAnswering, part: Part) -> Tensor:
    """Return which answers are right with every question at its own expert."""
    owner = torch.tensor([model.config.experts.index(OWNERS[family]) for family in FAMILIES])
    weights = torch.nn.functional.one_hot(owner[part.data.family], len(model.config.experts))
    return model.mix(part.encoded.outputs, weights.float()).argmax(1) == part.data.answer


def right_random(model: SceneMoeForQuestionAnswering, part: Part, top_k: int) -> Tensor:
    """Return which answers are right with `top_k` experts drawn at random."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(part.encoded.outputs.shape[:2], generator=generator)
    chosen = torch.zeros_like(noise).scatter_(1, noise.topk(top_k).indices, 1 / top_k)
    return model.mix(part.encoded.outputs, chosen).argmax(1) == part.data.answer


def gate_curve(
    model: SceneMoeForQuestionAnswering, train: Part, inside: Part, outside: Part
) -> list[dict[str, float]]:
    """Return, for every top-k, the router's accuracy in its domain and outside, and others'."""
    curve = []
    for top_k in TOP_K:
        made = with_router(model, train, SEEDS[0], top_k=top_k)
        curve.append(
            {
                "top_k": top_k,
                "in_domain": accuracy(right_under_router(made, inside.encoded, inside.data.answer)),
                "router": accuracy(right_under_router(made, outside.encoded, outside.data.answer)),
                "uniform": accuracy(right_uniform(made, outside)),
                "random": accuracy(right_random(made, outside, top_k)),
            }
        )
    return curve


def text_only(
    model: SceneMoeForQuestionAnswering, broad: Part, narrow: Part, test: Part
) -> dict[str, float]:
    """Return the accuracy on test of language experts that never see a picture."""
    told = {}
    for name, train in (("broad mix", broad), ("narrow mix", narrow)):
        made = copy.deepcopy(model)
        expert = made.experts["language"]
        for layer in expert.out:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        expert.requires_grad_(True)
        train_language(made, train.encoded, train.data.answer, LANGUAGE_EPOCHS, seed=100)
        with torch.no_grad():
            logits = made.head(made.scale(expert.out(test.encoded.question)))
        told[name] = accuracy(logits.argmax(1) == test.data.answer)
    return told


def priors(part: Part) -> dict[str, list[list[Any]]]:
    """Return the three most frequent answers of each family, with their shares."""
    found = {}
    for number, family in enumerate(FAMILIES):
        answers = part.data.answer[part.data.family == number].tolist()
        common = Counter(answers).most_common(3)
        found[family] = [
            [ANSWERS[answer], round(count / len(answers), 3)] for answer, count in common
        ]
    return found


def competence(model: SceneMoeForQuestionAnswering, part: Part) -> dict[str, dict[str, list[Any]]]:
    """Return, by family and language, accuracy at the own expert and the number of cases."""
    right = right_own(model, part)
    return {
        family: {
            language: [accuracy(right[rows]), int(rows.sum())]
            for place, language in enumerate(LANGUAGES)
            if (rows := (part.data.family == number) & (part.data.language == place)).any()
        }
        for number, family in enumerate(FAMILIES)
    }


def main(work: Path = Path("build/training")) -> None:
    """Train, measure, write."""
    torch.set_num_threads(2)
    settings = Settings()
    adapter = SceneMoeAdapter.load(settings.model_dir)
    model = adapter.model
    parts = {
        name: encoded_part(model, adapter, SPLITS[name], work)
        for name in ("train-2", "in-domain", "test", "free-wordings")
    }
    clean = replace(SPLITS["test"], name="clean", seed=84_000_000, styles=("plain",))
    parts["clean"] = encoded_part(model, adapter, clean, work)
    broad_split = replace(
        SPLITS["train-1"], name="broad", seed=BROAD_SEED, scenes=BROAD_SCENES, styles=BROAD_STYLES
    )
    broad = encoded_part(model, adapter, broad_split, work)
    speak_anew(model, broad.encoded)
    measured = ("in-domain", "test", "free-wordings")

    def under(made: SceneMoeForQuestionAnswering) -> dict[str, float]:
        return {
            name: accuracy(right_under_router(made, parts[name].encoded, parts[name].data.answer))
            for name in measured
        }

    report = {
        "cases": {name: len(part.data) for name, part in parts.items()},
        "competence": {
            name: competence(model, parts[name]) for name in ("clean", "test", "free-wordings")
        },
        "own_expert": {name: accuracy(right_own(model, parts[name])) for name in measured},
        "router": under(model),
        "router_on_broad_mix": under(with_router(model, broad, SEEDS[0])),
        "router_by_seed": {
            str(seed): under(with_router(model, parts["train-2"], seed)) for seed in SEEDS
        },
        "router_without_penalty": under(
            with_router(model, parts["train-2"], SEEDS[0], penalty=0.0)
        ),
        "gate_curve": gate_curve(model, parts["train-2"], parts["in-domain"], parts["test"]),
        "text_only_on_test": text_only(model, broad, parts["train-2"], parts["test"]),
        "priors": {"train-2": priors(parts["train-2"]), "test": priors(parts["test"])},
    }
    path = settings.model_dir / "sanity.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    typer.run(main)
