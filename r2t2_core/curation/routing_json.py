"""The format in which the method's authors publish routings: one JSON list of objects

    id, question, image_path, model_answer, ground_truth, is_correct,
    weights {img_aux, img_lang, img_self, lang_aux, lang_img, lang_self}

Two gates of three experts (MoAI, Lee et al. 2024), each of which sums to one. There are no pictures
and no expert outputs in it, so that only what needs routings alone can use it: Mode Finding, and
Kernel Regression with α = 0. What is imported is exported again without loss.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from r2t2_core.curation.build import Built
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.errors import ReferenceSetError
from r2t2_core.i18n import N_
from r2t2_core.reference.edit import floats, now, write_table
from r2t2_core.reference.library import Library, check_name, current_author
from r2t2_core.reference.manifest import Manifest, gate_shapes, sealed
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.types import GateSpec, RoutingSpec

MOAI = RoutingSpec(
    (
        GateSpec("image", ("img_aux", "img_lang", "img_self")),
        GateSpec("language", ("lang_aux", "lang_img", "lang_self")),
    )
)

MODEL = "MoAI-7B"
"""The model whose routings these are; the file does not say which weights it had."""

FIELDS = {
    "id": (str, int),
    "question": (str,),
    "image_path": (str,),
    "model_answer": (str,),
    "ground_truth": (str,),
    "is_correct": (bool,),
    "weights": (dict,),
}

SUM_TOLERANCE = 1e-3
"""How far a gate's weights may be from one in sum, since files hold rounded numbers."""

SHAPE = N_(
    "Each object has id, question, image_path, model_answer, ground_truth, is_correct and weights "
    "(two gates of three that each sum to one)."
)


@dataclass(frozen=True)
class RoutingRow:
    """One object of the file.

    Attributes
    ----------
    id, question, image_path, model_answer, ground_truth : str
    is_correct : bool
    weights : tuple of float
        In the order of the topology's experts.
    rest : str
        JSON of what has no column of its own: unknown keys, and an id that is a number.
    """

    id: str
    question: str
    image_path: str
    model_answer: str
    ground_truth: str
    is_correct: bool
    weights: tuple[float, ...]
    rest: str


def read_rows(
    path: Path, spec: RoutingSpec = MOAI
) -> tuple[list[RoutingRow], list[dict[str, str]]]:
    """Read and check a file; bad objects are kept with their reason.

    Raises
    ------
    ReferenceSetError
        It is no such file, or no object of it can be used.
    """
    try:
        objects = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReferenceSetError(
            N_("{file} cannot be read: {reason}."), SHAPE, file=path.name, reason=str(error)
        ) from error
    if not isinstance(objects, list):
        raise ReferenceSetError(N_("{file} is no list of objects."), SHAPE, file=path.name)
    rows, bad, seen = [], [], set()
    for number, entry in enumerate(objects, start=1):
        try:
            row = _row(entry, spec)
            if row.id in seen:
                raise ValueError(f"the id {row.id!r} was used before")
        except ValueError as error:
            bad.append({"row": str(number), "reason": str(error)})
            continue
        seen.add(row.id)
        rows.append(row)
    if not rows:
        reason = bad[0]["reason"] if bad else "it is empty"
        raise ReferenceSetError(
            N_("{file} holds no usable object: {reason}."), SHAPE, file=path.name, reason=reason
        )
    return rows, bad


def _row(entry: Any, spec: RoutingSpec) -> RoutingRow:
    """Read one object; ValueError says what is wrong with it."""
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    for name, types in FIELDS.items():
        if name not in entry:
            raise ValueError(f"{name} is missing")
        if not isinstance(entry[name], types) or (
            isinstance(entry[name], bool) and bool not in types
        ):
            raise ValueError(f"{name} is no {types[0].__name__}")
    if not entry["question"].strip():
        raise ValueError("question is empty")
    weights = entry["weights"]
    if set(weights) != set(spec.experts):
        raise ValueError(
            f"weights are named {', '.join(sorted(weights))}, not {', '.join(spec.experts)}"
        )
    for name in spec.experts:
        value = weights[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"the weight {name} is no number")
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"the weight {name} is {value}, not 0 or more")
    for gate in spec.gates:
        total = sum(weights[name] for name in gate.experts)
        if abs(total - 1) > SUM_TOLERANCE:
            raise ValueError(f"the weights of the gate {gate.name} sum to {total:.4f}, not to 1")
    rest = {key: value for key, value in entry.items() if key not in FIELDS}
    if not isinstance(entry["id"], str):
        rest["id"] = entry["id"]
    return RoutingRow(
        str(entry["id"]),
        entry["question"],
        entry["image_path"],
        entry["model_answer"],
        entry["ground_truth"],
        entry["is_correct"],
        tuple(float(weights[name]) for name in spec.experts),
        json.dumps(rest, ensure_ascii=False, sort_keys=True) if rest else "",
    )


def import_routings(
    path: Path,
    library: Library,
    name: str,
    embedder: TaskEmbedder,
    *,
    licence: str = "",
    spec: RoutingSpec = MOAI,
    model: str = MODEL,
) -> Built:
    """Take such a file over as a version that holds routings alone.

    Raises
    ------
    ReferenceSetError
        The name cannot be used, or the file cannot.
    """
    check_name(name)
    rows, bad = read_rows(path, spec)
    routing = np.array([row.weights for row in rows])
    for block in spec.blocks:
        routing[:, block] /= routing[:, block].sum(1, keepdims=True)
    folder = library.work_folder(f"import-{name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    table = pa.table(
        {
            "id": [row.id for row in rows],
            "question": [row.question for row in rows],
            "label": [row.ground_truth for row in rows],
            "model_answer": [row.model_answer for row in rows],
            "is_correct": [row.is_correct for row in rows],
            "refined_correct": [row.is_correct for row in rows],
            "family": [""] * len(rows),
            "image": [row.image_path for row in rows],
            "style": [""] * len(rows),
            "source": [f"{path.name} {row.id}" for row in rows],
            "embedding": floats(embedder.embed([row.question for row in rows])),
            "routing": floats(routing),
            "refined_routing": floats(routing),
            # As they stood in the file, to the last bit.
            "weights": [list(row.weights) for row in rows],
            "rest": [row.rest for row in rows],
        }
    )
    manifest = Manifest(
        name=name,
        size=len(rows),
        created_at=now(),
        licence=licence,
        source=path.name,
        model=model,
        model_fingerprint="",
        embedder=embedder.name,
        embedder_hash=embedder.fingerprint(),
        experts=spec.experts,
        answers=tuple(sorted({row.ground_truth for row in rows})),
        image_mean=(),
        image_scale=(),
        file_hashes={write_table(folder, "samples", table): ""},
        author=current_author(),
        policy="correct_only",
        gates=gate_shapes(spec),
        routing_only=True,
    )
    sealed(folder, manifest)
    text = json.dumps(bad, indent=1, ensure_ascii=False)
    (folder / "bad_rows.json").write_text(text + "\n", encoding="utf-8")
    evidence = {"rows": len(rows) + len(bad), "bad_rows": len(bad)}
    version = library.add(folder, name, "import", evidence)
    return Built(version, len(rows) + len(bad), len(rows), tuple(bad))


def export_routings(reference: ReferenceSet, disclose_local: bool = False) -> str:
    """Return a set in that format; of what was imported, every value as it stood.

    Sets of other topologies have their own experts' names in `weights`.

    Raises
    ------
    ReferenceSetError
        It holds a local layer, which does not leave this machine.
    """
    require_shareable(reference, disclose_local)
    experts = reference.manifest.experts
    stored = reference.column("weights")
    rests = reference.column("rest")
    objects = []
    for row in range(len(reference)):
        sample = reference.sample(row)
        weights: Sequence[float] = stored[row] or reference.router_routing[row].tolist()
        rest: Mapping[str, Any] = json.loads(rests[row]) if rests[row] else {}
        objects.append(
            {
                "id": sample.id,
                "question": sample.question,
                "image_path": sample.image,
                "model_answer": sample.model_answer,
                "ground_truth": sample.label,
                "is_correct": sample.is_correct,
                "weights": dict(zip(experts, weights, strict=True)),
                **rest,
            }
        )
    return json.dumps(objects, indent=1, ensure_ascii=False) + "\n"


def require_shareable(reference: ReferenceSet, disclose_local: bool) -> None:
    """Refuse to export what must not leave this machine.

    Raises
    ------
    ReferenceSetError
        The set, or a layer of it, is local, and the operator has not said that it may leave.
    """
    if not disclose_local and any(layer.local for layer in reference.layers):
        raise ReferenceSetError(
            N_("{name} is local: it never leaves this machine."),
            N_("Set R2T2_DISCLOSE_LOCAL=true where you may share it."),
            name=reference.manifest.name,
        )
