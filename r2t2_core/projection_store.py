"""Maps of reference sets on disk, found by the content hash of the version that they show."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from r2t2_core.projection import MIN_DISTANCE, N_NEIGHBOURS, SEED, SPACES, SPREAD, Projection

SCHEMA = "1"


class ProjectionStore:
    """Maps on disk, one file for each version of a reference set and space (npz, no pickle).

    Parameters
    ----------
    folder : Path
        Where new maps are written.
    shipped : sequence of Path
        Folders that are looked into besides.
    """

    def __init__(self, folder: Path, shipped: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._folders = (folder, *shipped)

    def load(self, content_hash: str, space: str) -> Projection | None:
        """Return the stored map of a version, if there is one that can be read."""
        for folder in self._folders:
            path = folder / self._name(content_hash, space)
            try:
                with np.load(path, allow_pickle=False) as stored:
                    about = json.loads(str(stored["about"]))
                    if about != self._about(content_hash, space):
                        continue
                    return Projection(
                        space,
                        content_hash,
                        stored["coordinates"],
                        stored["nearness"],
                        float(stored["preserved"]),
                    )
            except (OSError, ValueError, KeyError, EOFError):
                # Missing or damaged: it is fitted anew.
                continue
        return None

    def save(self, projection: Projection) -> Path:
        """Store a map, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / self._name(projection.content_hash, projection.space)
        about = self._about(projection.content_hash, projection.space)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(
                file,
                about=np.array(json.dumps(about, sort_keys=True)),
                coordinates=projection.coordinates,
                nearness=projection.nearness,
                preserved=np.array(projection.preserved),
            )
        os.replace(temporary, path)
        return path

    @staticmethod
    def _name(content_hash: str, space: str) -> str:
        # A hash is hexadecimal; anything else could name a path.
        if not re.fullmatch(r"[0-9a-f]{16,}", content_hash) or space not in SPACES:
            raise ValueError(f"no map can be called {content_hash!r}, {space!r}")
        return f"{content_hash[:32]}-{space}.npz"

    @staticmethod
    def _about(content_hash: str, space: str) -> dict[str, Any]:
        """Return everything that a stored map depends on."""
        return {
            "schema_version": SCHEMA,
            "content_hash": content_hash,
            "space": space,
            "n_neighbours": N_NEIGHBOURS,
            "min_distance": MIN_DISTANCE,
            "seed": SEED,
            "spread": SPREAD,
        }
