"""Build a version from labelled questions: batched, resumable, cancellable; bad rows never stop it.

What is being built lies below the library's `work/` folder, named by everything that decides the
result. Each finished batch is one file; a kill loses the running batch alone, and the version that
comes out has the same hash as one that was built without interruption.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785
import torch

from r2t2_core import __version__
from r2t2_core.curation.sources import Source
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.errors import Cancelled, ImageError, ParameterError, QuestionError, ReferenceSetError
from r2t2_core.evaluation.suites import SuiteSample
from r2t2_core.i18n import N_
from r2t2_core.intake.image import read_image
from r2t2_core.intake.question import read_question
from r2t2_core.models.base import ModelAdapter
from r2t2_core.reference.edit import floats, now, write_table
from r2t2_core.reference.library import Library, Version, check_name, current_author
from r2t2_core.reference.manifest import POLICIES, Manifest, gate_shapes, sealed
from r2t2_core.refine import refine
from r2t2_core.types import Sample

BATCH = 64
"""Samples in a batch. Fixed, since sums of floats depend on it."""

NOT_AN_ANSWER = N_("“{answer}” is not an answer that this model can give.")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """How a set is to be built.

    Attributes
    ----------
    name : str
    policy : str
        `correct_only` keeps what the router answers correctly; `all_labelled` keeps all;
        `refined` keeps all and runs the oracle once on each.
    licence : str
        Of all samples that name none of their own.
    note : str
    local : bool
        The set never leaves this machine.
    """

    name: str
    policy: str = "refined"
    licence: str = ""
    note: str = ""
    local: bool = False


@dataclass(frozen=True)
class Built:
    """A finished build.

    Attributes
    ----------
    version : Version
    rows, kept : int
        Rows that were read, and samples of the version.
    bad_rows : tuple of mapping
        `row` and `reason` of each row that could not be used.
    """

    version: Version
    rows: int
    kept: int
    bad_rows: tuple[Mapping[str, str], ...]


def build(
    model: ModelAdapter,
    embedder: TaskEmbedder,
    source: Source,
    library: Library,
    wanted: Wanted,
    *,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Built:
    """Build a version and give it a name.

    Parameters
    ----------
    model, embedder
        They must be those with which it will be used.
    source : Source
    library : Library
        Where the version goes.
    wanted : Wanted
    progress : callable
        Called with rows done and rows in all.
    cancelled : callable
        Asked between batches.

    Raises
    ------
    ReferenceSetError
        The name cannot be used, or no row can.
    ParameterError
        The policy is unknown.
    Cancelled
        `cancelled()` said so; finished batches stay, the same call goes on.
    """
    check_name(wanted.name)
    if wanted.policy not in POLICIES:
        raise ParameterError(
            N_("There is no reference policy called {name}."),
            N_("Choose one of: {known}."),
            name=wanted.policy,
            known=", ".join(POLICIES),
        )
    samples = source.suite.samples
    work = library.work_folder(_key(model, embedder, source, wanted))
    parts = work / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    progress(0, len(samples))
    for number, start in enumerate(range(0, len(samples), BATCH)):
        part = parts / f"{number:06d}.parquet"
        batch = samples[start : start + BATCH]
        if not part.is_file():
            if cancelled():
                raise Cancelled(N_("Cancelled."), N_("Finished batches are kept: start it again."))
            _write_part(part, model, embedder, batch, source, wanted)
        progress(min(start + BATCH, len(samples)), len(samples))
    bad = [{"row": str(row.line), "reason": str(row.error)} for row in source.suite.bad_rows]
    bad += [
        entry
        for path in sorted(parts.glob("*.json"))
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]
    folder = _assemble(work, model, embedder, source, wanted, bad)
    evidence = {"rows": len(samples) + len(source.suite.bad_rows), "bad_rows": len(bad)}
    version = library.add(folder, wanted.name, "build", evidence)
    shutil.rmtree(work)
    return Built(version, evidence["rows"], version.manifest.size, tuple(bad))


def _key(model: ModelAdapter, embedder: TaskEmbedder, source: Source, wanted: Wanted) -> str:
    """Return the hash of everything that decides the result."""
    decides = {
        "content": source.suite.content_hash,
        "samples": len(source.suite),
        "name": wanted.name,
        "policy": wanted.policy,
        "licence": wanted.licence,
        "note": wanted.note,
        "local": wanted.local,
        "model": model.fingerprint(),
        "embedder": embedder.fingerprint(),
        "batch": BATCH,
        "code": __version__,
    }
    return hashlib.sha256(rfc8785.dumps(decides)).hexdigest()[:16]


def _write_part(
    path: Path,
    model: ModelAdapter,
    embedder: TaskEmbedder,
    batch: Sequence[SuiteSample],
    source: Source,
    wanted: Wanted,
) -> None:
    """Compute a batch and write it whole or not at all; what was refused first."""
    places = {answer.lower(): number for number, answer in enumerate(model.answers)}
    read: list[dict[str, Any]] = []
    samples, labels, refused = [], [], []
    for entry in batch:
        try:
            data = entry.image.read_bytes()
            picture = read_image(data).image
            question = read_question(entry.question).text
            label = places.get(entry.answer.strip().lower())
            if label is None:
                raise ReferenceSetError(NOT_AN_ANSWER, answer=entry.answer)
        except (ImageError, QuestionError, OSError, ReferenceSetError) as error:
            refused.append({"row": entry.id, "reason": str(error)})
            continue
        samples.append(Sample(picture, question))
        labels.append(label)
        digest = hashlib.sha256(data).hexdigest()
        read.append(
            {
                "id": entry.id,
                "question": question,
                "label": model.answers[label],
                "family": entry.family,
                "image": f"images/{digest[:20]}{entry.image.suffix.lower()}",
                "style": entry.style,
                "language": entry.language,
                "tags": entry.tags,
                "source": entry.source or f"{source.suite.name} {entry.id}",
                "licence": entry.licence or source.licence or wanted.licence,
                "image_sha256": digest,
                "path": str(entry.image),
            }
        )
    if refused:
        _write_whole(
            path.with_suffix(".json"),
            lambda to: to.write_text(json.dumps(refused, ensure_ascii=False), encoding="utf-8"),
        )
    table = _compute(model, embedder, samples, labels, wanted.policy, read)
    _write_whole(path, lambda to: pq.write_table(table, to, compression="zstd"))


def _compute(
    model: ModelAdapter,
    embedder: TaskEmbedder,
    samples: Sequence[Sample],
    labels: Sequence[int],
    policy: str,
    read: Sequence[Mapping[str, Any]],
) -> pa.Table:
    if not samples:
        return pa.table({"id": pa.array([], pa.string())})
    prepared = model.prepare(samples)
    wanted = torch.tensor(labels)
    answers = model.answer(prepared).argmax(1).cpu()
    routing = prepared.routing.cpu()
    if policy == "refined":
        moved = refine(model, prepared, wanted.to(prepared.routing.device))
        refined_correct = model.answer(prepared, moved).argmax(1).cpu() == wanted
        refined = moved.cpu()
    else:
        refined, refined_correct = routing, answers == wanted
    outputs = prepared.expert_outputs.cpu().numpy()
    return pa.table(
        {
            **{name: [row[name] for row in read] for name in read[0]},
            "model_answer": [model.answers[int(answer)] for answer in answers],
            "is_correct": (answers == wanted).numpy(),
            "refined_correct": refined_correct.numpy(),
            "embedding": floats(embedder.embed([sample.question for sample in samples])),
            "routing": floats(routing.numpy()),
            "refined_routing": floats(refined.numpy()),
            "image_features": floats(prepared.image_features.cpu().numpy()),
            "expert_outputs": floats(outputs.reshape(len(outputs), -1)),
            "width": [outputs.shape[2]] * len(outputs),
        }
    )


def _assemble(
    work: Path,
    model: ModelAdapter,
    embedder: TaskEmbedder,
    source: Source,
    wanted: Wanted,
    bad: Sequence[Mapping[str, str]],
) -> Path:
    """Put the parts together as a version."""
    tables = [pq.read_table(path) for path in sorted((work / "parts").glob("*.parquet"))]
    tables = [table for table in tables if table.num_rows]
    table = pa.concat_tables(tables) if tables else None
    if table is not None and wanted.policy == "correct_only":
        table = table.filter(table["is_correct"])
    if table is None or table.num_rows == 0:
        raise ReferenceSetError(
            N_("No row can be used: {reason}"),
            N_("Mend the rows, or choose another policy."),
            reason=bad[0]["reason"] if bad else "correct_only",
        )
    folder = work / "version"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    for path, image in zip(table["path"].to_pylist(), table["image"].to_pylist(), strict=True):
        if not (folder / image).exists():
            # A copy, not a link: the person's own file may change.
            shutil.copyfile(path, folder / image)
    width = table["width"][0].as_py()
    chunks = [chunk.flatten().to_numpy() for chunk in table["expert_outputs"].chunks]
    outputs = np.concatenate(chunks).reshape(table.num_rows, -1, width)
    np.save(folder / "expert_outputs.npy", outputs)
    features = np.concatenate([c.flatten().to_numpy() for c in table["image_features"].chunks])
    features = features.reshape(table.num_rows, -1)
    table = table.drop_columns(["path", "width", "expert_outputs"])
    names = [write_table(folder, "samples", table.combine_chunks()), "expert_outputs.npy", "images"]
    manifest = Manifest(
        name=wanted.name,
        size=table.num_rows,
        created_at=now(),
        licence=wanted.licence or source.licence,
        source=f"{source.kind}: {source.suite.name}",
        model=model.name,
        model_fingerprint=model.fingerprint(),
        embedder=embedder.name,
        embedder_hash=embedder.fingerprint(),
        experts=model.routing_spec.experts,
        answers=model.answers,
        image_mean=tuple(features.mean(0).tolist()),
        image_scale=tuple(np.maximum(features.std(0), 1e-6).tolist()),
        file_hashes=dict.fromkeys(names, ""),
        author=current_author(),
        note=wanted.note,
        policy=wanted.policy,
        gates=gate_shapes(model.routing_spec),
        local=wanted.local,
    )
    sealed(folder, manifest)
    text = json.dumps(list(bad), indent=1, ensure_ascii=False)
    (folder / "bad_rows.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    os.replace(temporary, path)
