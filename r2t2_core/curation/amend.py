"""Amend a set: relabel or drop samples, refine them anew; the outcome is a new version."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.reference.edit import floats, subset
from r2t2_core.reference.library import Library, Version, current_author
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.refine import refine

BATCH = 256


def keep_rows(
    library: Library,
    reference: ReferenceSet,
    rows: np.ndarray,
    name: str,
    note: str,
    event: str,
    evidence: object = None,
) -> Version:
    """Store some samples as a version of their own, under a name."""
    folder = library.work_folder(f"amend-{name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subset(reference, rows, folder, {"name": name, "note": note, "author": current_author()})
    return library.add(folder, name, event, evidence)


def amend(
    library: Library,
    reference: ReferenceSet,
    model: ModelAdapter,
    name: str,
    *,
    drop: Sequence[str] = (),
    relabel: Mapping[str, str] | None = None,
    note: str = "",
) -> Version:
    """Store a version without some samples and with other labels for others.

    Parameters
    ----------
    library : Library
    reference : ReferenceSet
    model : ModelAdapter
        Relabelled samples are refined anew with it.
    name : str
    drop : sequence of str
        Identifiers.
    relabel : mapping
        Identifier → the right answer.
    note : str

    Raises
    ------
    ParameterError
        There is no such sample, or no such answer.
    """
    wanted = dict(relabel or {})
    identifiers = [str(value) for value in reference.column("id")]
    for identifier in (*drop, *wanted):
        if identifier not in identifiers:
            raise ParameterError(
                N_("There is no sample called {id} in {name}."),
                N_("`r2t2 reference check` names samples to look at."),
                id=identifier,
                name=reference.manifest.name,
            )
    answers = {answer.lower(): number for number, answer in enumerate(reference.manifest.answers)}
    for label in wanted.values():
        if label.lower() not in answers:
            raise ParameterError(
                N_("“{label}” is not an answer that this model can give."),
                N_("Choose one of: {answers}."),
                label=label,
                answers=", ".join(reference.manifest.answers),
            )
    labels = reference.labels.copy()
    for identifier, label in wanted.items():
        labels[identifiers.index(identifier)] = answers[label.lower()]
    dropped = set(drop)
    rows = np.array([n for n, value in enumerate(identifiers) if value not in dropped], np.int64)
    changed = np.array([identifiers.index(value) for value in wanted if value not in dropped])
    columns = _relabelled(reference, model, rows, labels, changed.astype(np.int64))
    folder = library.work_folder(f"amend-{name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    about = {"name": name, "note": note, "author": current_author()}
    subset(reference, rows, folder, about, columns)
    evidence = {"dropped": sorted(dropped), "relabelled": wanted}
    return library.add(folder, name, "edit", evidence)


def _relabelled(
    reference: ReferenceSet,
    model: ModelAdapter,
    rows: np.ndarray,
    labels: np.ndarray,
    changed: np.ndarray,
) -> dict[str, pa.Array]:
    """Return the columns that other labels change, for the rows that stay."""
    if len(changed) == 0:
        return {}
    names = reference.manifest.answers
    answered = np.array(reference.column("model_answer"))
    texts = np.array([names[label] for label in labels])
    routing = np.array(reference.routing_for("refined"))
    refined_correct = np.array(reference.eligible("refined"))
    for start in range(0, len(changed), BATCH):
        chosen = changed[start : start + BATCH]
        prepared = Prepared(
            reference.outputs_of(torch.from_numpy(chosen)),
            torch.from_numpy(reference.router_routing[chosen]),
            torch.from_numpy(reference.image_features[chosen]),
        )
        wanted = torch.from_numpy(labels[chosen])
        if reference.manifest.policy in ("", "refined"):
            moved = refine(model, prepared, wanted)
            routing[chosen] = moved.numpy()
            refined_correct[chosen] = (model.answer(prepared, moved).argmax(1) == wanted).numpy()
        else:
            refined_correct[chosen] = answered[chosen] == texts[chosen]
    return {
        "label": pa.array(texts[rows].tolist()),
        "is_correct": pa.array((answered == texts)[rows]),
        "refined_correct": pa.array(refined_correct[rows]),
        "refined_routing": floats(routing[rows]),
    }
