"""Stacks of reference sets: a shared base and local overlays, each with a weight.

Written as `BASE+OVERLAY:WEIGHT+…`, for example `shipped+shop:2`. A local layer (its manifest says
so) never leaves this machine: decisions and exports hold hashes of its samples alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from r2t2_core.errors import ParameterError, ReferenceSetError
from r2t2_core.i18n import N_
from r2t2_core.reference.edit import require_alike
from r2t2_core.reference.library import Library
from r2t2_core.reference.outputs import StoredOutputs
from r2t2_core.reference.store import ReferenceSample, ReferenceSet
from r2t2_core.types import RoutingSpec

WITHHELD = "–"
"""Stands for an answer of a local layer: one of a few words, which a hash would not hide."""

HEAVIEST = 1000.0
"""Greatest weight of a layer."""


def parse_stack(text: str) -> tuple[tuple[str, float], ...]:
    """Read `NAME[:WEIGHT]+NAME[:WEIGHT]+…`.

    Raises
    ------
    ParameterError
        A weight is no positive number, or a name is empty.
    """
    layers = []
    for part in text.split("+"):
        name, colon, number = part.strip().rpartition(":")
        if not colon:
            name, number = part.strip(), "1"
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not 0 < weight <= HEAVIEST:
            raise ParameterError(
                N_("“{part}” is not of the form NAME or NAME:WEIGHT, with a weight above 0."),
                N_("Write for example {example}."),
                part=part,
                example="shipped+mine:2",
            )
        layers.append((name, weight))
    return tuple(layers)


def stack(layers: Sequence[tuple[str, float, ReferenceSet]]) -> ReferenceSet:
    """Put sets on top of one another.

    Parameters
    ----------
    layers : sequence of (name, weight, ReferenceSet)
        The base first: its pictures' scale is the stack's.

    Raises
    ------
    ReferenceSetError
        They were made with different models or embedders, or two layers have the same name.
    """
    (_name, _weight, base), *_ = layers
    names = [name for name, _weight, _layer in layers]
    if len(set(names)) < len(names):
        raise ReferenceSetError(
            N_("A reference set stands twice in the stack."), N_("Name every layer once.")
        )
    for _name, _weight, layer in layers[1:]:
        require_alike(base.manifest, layer.manifest)
    tables = [layer.table for _name, _weight, layer in layers]
    manifest = base.manifest.model_copy(
        update={
            "name": " + ".join(names),
            "size": sum(len(layer) for _name, _weight, layer in layers),
            "parents": tuple(layer.manifest.content_hash for _name, _weight, layer in layers),
            "note": " + ".join(f"{name}:{weight:g}" for name, weight, _layer in layers),
            "local": any(layer.manifest.local for _name, _weight, layer in layers),
            "file_hashes": {},
        }
    )
    manifest = manifest.model_copy(update={"content_hash": manifest.compute_hash()})
    made = ReferenceSet(base.root, manifest, pa.concat_tables(tables, promote_options="default"))
    paths = [path for _name, _weight, layer in layers for path in layer.stored_outputs.paths]
    made.stored_outputs = StoredOutputs(paths)
    made.layers = tuple(
        replace(layer.layers[0], name=name, weight=weight) for name, weight, layer in layers
    )
    made.layer_of = np.repeat(
        np.arange(len(layers)), [len(layer) for _name, _weight, layer in layers]
    )
    return made


def redacted(reference: ReferenceSet, row: int) -> ReferenceSample:
    """Return a sample with one hash in place of everything that says what it is.

    The hash covers the picture's features, so that it cannot be found by guessing words.
    """
    sample = reference.sample(row)
    digest = hashlib.sha256()
    for text in (sample.id, sample.question, sample.label):
        digest.update(text.encode() + b"\0")
    digest.update(reference.embeddings[row].tobytes())
    digest.update(reference.image_features[row].tobytes())
    name = "sha256:" + digest.hexdigest()
    return replace(
        sample, id=name, question=name, label=WITHHELD, model_answer=WITHHELD, family="", style="",
        image="", source="", licence="",
    )  # fmt: skip


def open_reference(
    library: Library,
    text: str,
    *,
    model_fingerprint: str,
    embedder_hash: str,
    routing_spec: RoutingSpec,
) -> ReferenceSet:
    """Open what a person named: a set, or a stack of sets; what is in use where nothing was named.

    Raises
    ------
    ParameterError, ReferenceSetError
        It cannot be read, is not there, or does not belong to this model and embedder.
    """
    opened = [
        (
            name,
            weight,
            ReferenceSet.load(
                library.find(name),
                model_fingerprint=model_fingerprint,
                embedder_hash=embedder_hash,
                routing_spec=routing_spec,
            ),
        )
        for name, weight in parse_stack(text or library.in_use)
    ]
    return opened[0][2] if len(opened) == 1 else stack(opened)
