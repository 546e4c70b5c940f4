"""The samples that are chosen on the map or by a search, kept for the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

KEY = "map.chosen"

CHANGES = "map.changes"
"""How often the choice was made elsewhere than on the map: then the map is drawn anew."""

DRAWN = "map.drawn"


@dataclass(frozen=True)
class Chosen:
    """Rows of a reference set, in the order in which they are shown.

    Attributes
    ----------
    content_hash : str
        Of the version that the rows belong to.
    rows : ndarray (n,), int64
    similarity : ndarray (n,), float32, or None
        With what was searched for.
    """

    content_hash: str
    rows: np.ndarray
    similarity: np.ndarray | None = None


def chosen_rows(content_hash: str) -> Chosen | None:
    """Return what is chosen of a version, if anything is."""
    found: Chosen | None = st.session_state.get(KEY)
    return found if found is not None and found.content_hash == content_hash else None


def choose(chosen: Chosen | None, on_map: bool = False) -> None:
    """Choose samples, or none; for use as a callback."""
    if chosen is None or not len(chosen.rows):
        st.session_state.pop(KEY, None)
    else:
        st.session_state[KEY] = chosen
    if not on_map:
        st.session_state[CHANGES] = st.session_state.get(CHANGES, 0) + 1


def drawn_rows(signature: tuple[str, ...], chosen: Chosen | None) -> tuple[np.ndarray | None, str]:
    """Return the rows that the map itself shows as chosen, and a word that names this drawing.

    A chart whose content changes is another chart to Streamlit: the part that was zoomed to and
    the outline of the lasso would be lost. So the map is drawn anew only where its signature has
    changed or samples were chosen elsewhere; what a lasso chooses the browser shows by itself.
    """
    now = (*signature, str(st.session_state.get(CHANGES, 0)))
    then, rows = st.session_state.get(DRAWN, (None, None))
    if then != now:
        rows = None if chosen is None else chosen.rows
        st.session_state[DRAWN] = (now, rows)
    return rows, ".".join(now)


def rows_of_event(selection: Mapping[str, Any]) -> np.ndarray:
    """Return the rows (n,) that a selection on a chart holds, each once, in order.

    The points of the map carry their row as `customdata`; those of the query carry none.
    """
    found = set()
    for point in selection.get("points", ()):
        data = point.get("customdata")
        value = data[0] if isinstance(data, list | tuple) and data else data
        if isinstance(value, int | float):
            found.add(int(value))
    return np.array(sorted(found), dtype=np.int64)
