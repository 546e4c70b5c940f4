"""What the page knows of a reference set's samples: read once for each version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.loading import load_engine
from r2t2_core.projection import Projection, space_vectors
from r2t2_core.projection_store import ProjectionStore
from r2t2_core.settings import Settings

FOLDER = "projections"

COLUMNS = (
    "id", "question", "label", "model_answer", "is_correct", "refined_correct", "family", "style",
    "image",
)  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """The samples of one version, row by row.

    Attributes
    ----------
    table : DataFrame (N rows)
        id, question, label, model_answer, is_correct, refined_correct, family, style, image.
    experts : tuple of str
        Names as the model has them.
    routing, refined : ndarray (N, E), float32
        What the router chose, and what the oracle found once, offline.
    rows : dict
        Id → row.
    """

    table: pd.DataFrame
    experts: tuple[str, ...]
    routing: np.ndarray
    refined: np.ndarray
    rows: dict[str, int]


@st.cache_resource(show_spinner=False, max_entries=2)
def samples_of(content_hash: str) -> Samples:
    """Return the samples of the engine's reference set; its hash tells versions apart."""
    reference = load_engine().reference
    table = pd.DataFrame({name: reference.column(name) for name in COLUMNS})
    return Samples(
        table,
        reference.manifest.experts,
        reference.router_routing,
        reference.routing_for("refined"),
        {name: row for row, name in enumerate(table["id"])},
    )


@st.cache_resource(show_spinner=False, max_entries=4)
def vectors_of(content_hash: str, space: str) -> np.ndarray:
    """Return the vectors of the engine's reference set in a space."""
    return space_vectors(load_engine().reference, space)


def store() -> ProjectionStore:
    """Return where maps are kept: below the data folder, and beside the shipped data."""
    settings = Settings.from_environment()
    return ProjectionStore(settings.data_dir / FOLDER, (settings.sample_data / FOLDER,))


@st.cache_resource(show_spinner=False, max_entries=4)
def _kept(content_hash: str, space: str) -> list[Projection]:
    """Return a box for a map that was loaded or fitted, one for all sessions."""
    return []


def projection_of(content_hash: str, space: str) -> Projection | None:
    """Return the map of a version, from memory or from disk; None where there is none yet."""
    box = _kept(content_hash, space)
    if not box and (found := store().load(content_hash, space)) is not None:
        box.append(found)
    return box[0] if box else None
