"""Build the shipped reference set (`sample_data/reference/`) from seeds.

    python -m tools.build_reference

Every stored number is computed from the stored picture, so that the set can be
checked against the model at any time. The refined routing is the oracle's, run once.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import typer
from PIL import Image

from r2t2_core.embedding.multilingual import MultilingualEmbedder
from r2t2_core.models.base import Prepared
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.reference.store import Manifest, write_reference_set
from r2t2_core.refine import refine
from r2t2_core.scenes.questions import FAMILIES, Question, ask
from r2t2_core.scenes.render import render
from r2t2_core.scenes.sampling import style_of
from r2t2_core.settings import Settings
from r2t2_core.types import Sample
from tools.scene_data import draw_scene
from tools.splits import SPLITS

PICTURE = 160
BATCH = 256


def draw(images: Path) -> tuple[list[Sample], list[Question], list[tuple[str, str]]]:
    """Draw scenes and questions; write the pictures; return samples as read back from disk."""
    split = SPLITS["reference"]
    samples, questions, files = [], [], []
    images.mkdir(parents=True)
    for number in range(split.scenes):
        scene, rng = draw_scene(split, number)
        name = f"{number:05d}.webp"
        render(scene, PICTURE).save(images / name, quality=80, method=6)
        with Image.open(images / name) as stored:
            picture = stored.convert("RGB")
        style = style_of(scene)
        asked = 0
        while asked < split.questions:
            family = rng.choices(FAMILIES, split.weights)[0]
            language = rng.choice(split.languages)
            question = ask(rng, scene, family, rng.choice(split.phrasings), language)
            if question is None or (asked and question.text == questions[-1].text):
                continue
            samples.append(Sample(picture, question.text))
            questions.append(question)
            files.append((f"images/{name}", style))
            asked += 1
    return samples, questions, files


def prepare_all(model: SceneMoeAdapter, samples: list[Sample]) -> Prepared:
    """Run the routing-independent part over all samples."""
    parts = [
        model.prepare(samples[start : start + BATCH]) for start in range(0, len(samples), BATCH)
    ]
    return Prepared(
        torch.cat([part.expert_outputs for part in parts]),
        torch.cat([part.routing for part in parts]),
        torch.cat([part.image_features for part in parts]),
    )


def main(out: Path | None = None) -> None:
    """Draw, run the model, refine, write."""
    torch.set_num_threads(2)
    settings = Settings()
    root = out or settings.reference_dir
    shutil.rmtree(root, ignore_errors=True)
    model = SceneMoeAdapter.load(settings.model_dir)
    embedder = MultilingualEmbedder(settings.readout_path)
    samples, questions, files = draw(root / "images")
    prepared = prepare_all(model, samples)
    labels = torch.tensor([model.answers.index(question.answer) for question in questions])
    answers = model.answer(prepared).argmax(1)
    refined = refine(model, prepared, labels)
    refined_answers = model.answer(prepared, refined).argmax(1)
    features = prepared.image_features.numpy()
    table = pa.table(
        {
            "id": [f"ref-{row:05d}" for row in range(len(samples))],
            "question": [question.text for question in questions],
            "label": [question.answer for question in questions],
            "model_answer": [model.answers[int(answer)] for answer in answers],
            "is_correct": (answers == labels).numpy(),
            "refined_correct": (refined_answers == labels).numpy(),
            "family": [question.family for question in questions],
            "image": [file for file, _ in files],
            "style": [style for _, style in files],
            "embedding": _rows(embedder.embed([sample.question for sample in samples])),
            "routing": _rows(prepared.routing.numpy()),
            "refined_routing": _rows(refined.numpy()),
            "image_features": _rows(features),
        }
    )
    manifest = Manifest(
        name="scenes-v2",
        size=len(samples),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        licence="Apache-2.0; sprites: Fluent Emoji 3D, MIT",
        source="tools/build_reference.py, split `reference`",
        model=model.name,
        model_fingerprint=model.fingerprint(),
        embedder=embedder.name,
        embedder_hash=embedder.fingerprint(),
        experts=model.routing_spec.experts,
        answers=model.answers,
        image_mean=tuple(features.mean(0).tolist()),
        image_scale=tuple(np.maximum(features.std(0), 1e-6).tolist()),
        file_hashes={},
    )
    written = write_reference_set(root, manifest, table, prepared.expert_outputs.numpy())
    correct = float((answers == labels).float().mean())
    refined_share = float((refined_answers == labels).float().mean())
    print(f"{written.size} samples; router right {correct:.1%}, refined {refined_share:.1%}")


def _rows(matrix: np.ndarray) -> pa.Array:
    values = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])


if __name__ == "__main__":
    typer.run(main)
