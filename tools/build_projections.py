"""Fit the maps of the shipped reference set, so that its page opens at once.

python -m tools.build_projections
"""

from __future__ import annotations

import typer

from r2t2_core.projection import SPACES, fit_projection, space_vectors
from r2t2_core.projection_store import ProjectionStore
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.settings import SAMPLE_DATA, Settings

FOLDER = SAMPLE_DATA / "projections"


def main() -> None:
    """Write one file for each space; maps of earlier versions are removed."""
    reference = ReferenceSet.load(Settings().reference_dir)
    for old in FOLDER.glob("*.npz"):
        old.unlink()
    for space in SPACES:
        made = fit_projection(
            space_vectors(reference, space), space, reference.manifest.content_hash
        )
        path = ProjectionStore(FOLDER).save(made)
        print(f"{path.name}: {made.preserved:.1%} of the nearest neighbours kept")


if __name__ == "__main__":
    typer.run(main)
