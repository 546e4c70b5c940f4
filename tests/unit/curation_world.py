"""A small world in which re-routing works: a linear model of four experts, with its embedder.

Every question names a family, each family has one expert that knows its answers, and the router
sends half of the families to the wrong one. Pictures are one colour; the colour is the answer.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from r2t2_core.defaults import Defaults
from r2t2_core.engine import Engine
from r2t2_core.gate import GateThresholds
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.reference.edit import floats
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.reference.manifest import Manifest, gate_shapes
from r2t2_core.reference.store import ReferenceSet, write_reference_set
from r2t2_core.refine import refine
from r2t2_core.routing import project_top_k
from r2t2_core.types import GateSpec, RoutingSpec, Sample, Tensor

FAMILIES = ("red", "green", "blue", "grey")
ANSWERS = tuple("abcdefgh")
DIMENSION = 16
SPEC = RoutingSpec((GateSpec("experts", ("one", "two", "three", "four"), 2),))


class SmallModel:
    """Expert e answers family e's questions; others say something that the picture does not."""

    name = "small"
    routing_spec = SPEC
    answers = ANSWERS
    device = "cpu"
    dtype = "float32"
    preprocessing_version = "1"
    specialists: Mapping[str, str] = {}

    def prepare(self, samples: Sequence[Sample]) -> Prepared:
        outputs, routing, features = [], [], []
        for sample in samples:
            family = next((n for n, name in enumerate(FAMILIES) if name in sample.question), 0)
            pixel = np.asarray(sample.image.resize((1, 1)), dtype=np.float32)[0, 0]
            answer = int(pixel[0]) // 32
            one = np.full((4, len(ANSWERS)), -1.0, np.float32)
            for expert in range(4):
                said = answer if expert == family else (answer + 1 + expert) % len(ANSWERS)
                one[expert, said] = 3.0
            chosen = np.full(4, 0.1, np.float32)
            # The router knows two families, and sends the others to the first expert.
            chosen[family if family < 2 else 0] = 0.7
            outputs.append(one)
            routing.append(chosen)
            noise = np.random.default_rng(int(pixel.sum() * 7)).normal(size=6)
            features.append(np.concatenate([pixel / 64, noise]).astype(np.float32))
        return Prepared(
            torch.from_numpy(np.stack(outputs)),
            torch.from_numpy(np.stack(routing)),
            torch.from_numpy(np.stack(features)),
        )

    def answer(self, prepared: Prepared, routing: Tensor | None = None) -> Tensor:
        dense = prepared.routing if routing is None else routing
        projected = project_top_k(dense, SPEC)
        return torch.einsum("be,bea->ba", projected, prepared.expert_outputs).softmax(-1)

    def loss(self, expert_outputs: Tensor, labels: Tensor, routing: Tensor) -> Tensor:
        logits = torch.einsum("...e,...ea->...a", routing, expert_outputs)
        return -logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]

    def entropy(self, expert_outputs: Tensor, routing: Tensor) -> Tensor:
        logs = torch.einsum("...e,...ea->...a", routing, expert_outputs).log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)

    def adaptation(self) -> None:
        return None

    def fingerprint(self) -> str:
        return "f" * 64


class SmallEmbedder:
    """Questions of one family lie close together; their words part them a little."""

    name = "small words"

    def fingerprint(self) -> str:
        return "e" * 64

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
            row = 0.35 * np.random.default_rng(seed).normal(size=DIMENSION) / DIMENSION**0.5
            for number, name in enumerate(FAMILIES):
                row[number] += 1.0 * (name in text)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, dtype=np.float32)


def small_engine(reference: ReferenceSet) -> Engine:
    """Return an engine of this world."""
    model: ModelAdapter = SmallModel()
    thresholds = GateThresholds(
        text_similarity=0.5, image_distance=3.0, evidence={}, harm_bound=0.01, confidence=0.95,
        source="test",
    )  # fmt: skip
    defaults = Defaults(
        strategy="kernel_regression",
        retrieval=RetrievalParams(policy="refined", n_neighbours=8),
        parameters={},
        thresholds=thresholds,
        chosen_on="test",
    )
    return Engine(model, SmallEmbedder(), reference, defaults, "1")


@dataclass(frozen=True)
class Row:
    """One labelled question."""

    id: str
    question: str
    answer: str
    family: str
    picture: Image.Image


def rows_of(count: int, seed: int = 0, families: Sequence[str] = FAMILIES) -> list[Row]:
    """Draw labelled questions."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        family = families[int(generator.integers(len(families)))]
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        rows.append(
            Row(
                f"s{seed}-{number:04d}",
                f"What is the {family} thing number {int(generator.integers(10**6))}?",
                ANSWERS[colour[0] // 32],
                family,
                Image.new("RGB", (8, 8), colour),
            )
        )
    return rows


def write_folder(root: Path, rows: Sequence[Row], table: str = "csv") -> Path:
    """Write questions as a folder of one's own: pictures and a table."""
    root.mkdir(parents=True)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "image", "question", "answer", "family"])
    for row in rows:
        row.picture.save(root / f"{row.id}.png")
        writer.writerow([row.id, f"{row.id}.png", row.question, row.answer, row.family])
    (root / f"samples.{table}").write_text(text.getvalue(), encoding="utf-8")
    return root


def small_set(root: Path, rows: Sequence[Row], name: str = "small") -> ReferenceSet:
    """Write a reference set of these questions, refined, without pictures on disk."""
    model = SmallModel()
    prepared = model.prepare([Sample(row.picture, row.question) for row in rows])
    labels = torch.tensor([ANSWERS.index(row.answer) for row in rows])
    refined = refine(model, prepared, labels)
    answers = model.answer(prepared).argmax(1)
    features = prepared.image_features.numpy()
    (root / "images").mkdir(parents=True)
    (root / "images" / "one.png").write_bytes(b"a picture")
    table = pa.table(
        {
            "id": [row.id for row in rows],
            "question": [row.question for row in rows],
            "label": [row.answer for row in rows],
            "model_answer": [ANSWERS[int(answer)] for answer in answers],
            "is_correct": (answers == labels).numpy(),
            "refined_correct": (model.answer(prepared, refined).argmax(1) == labels).numpy(),
            "family": [row.family for row in rows],
            "style": [""] * len(rows),
            "image": ["images/one.png"] * len(rows),
            "embedding": floats(SmallEmbedder().embed([row.question for row in rows])),
            "routing": floats(prepared.routing.numpy()),
            "refined_routing": floats(refined.numpy()),
            "image_features": floats(features),
        }
    )
    manifest = Manifest(
        name=name, size=len(rows), created_at="2026-01-01T00:00:00+00:00", licence="CC0",
        source="test", model="small", model_fingerprint="f" * 64, embedder="small words",
        embedder_hash="e" * 64, experts=SPEC.experts, answers=ANSWERS,
        image_mean=tuple(features.mean(0).tolist()),
        image_scale=tuple(np.maximum(features.std(0), 1e-6).tolist()), file_hashes={},
        policy="refined", gates=gate_shapes(SPEC),
    )  # fmt: skip
    write_reference_set(root, manifest, table, prepared.expert_outputs.numpy())
    return ReferenceSet.load(root)
