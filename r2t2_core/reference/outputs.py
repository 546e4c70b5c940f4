"""Stored expert outputs: memory-mapped, in segments, read by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from r2t2_core.errors import ReferenceSetError
from r2t2_core.i18n import N_

RESTORE = N_("Restore the folder from the repository, or build the reference set again.")


class StoredOutputs:
    """Expert outputs (N, E, D) of all samples, over the segments in which they are stored.

    Parameters
    ----------
    paths : sequence of Path
        `.npy` files, first segment first; opened when they are first read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    @cached_property
    def _segments(self) -> tuple[np.ndarray, ...]:
        segments = []
        for path in self.paths:
            try:
                segments.append(np.load(path, mmap_mode="r"))
            except (OSError, ValueError, EOFError) as error:
                raise ReferenceSetError(
                    N_("The reference set in {root} cannot be read: {reason}."),
                    RESTORE,
                    root=str(path.parent),
                    reason=str(error),
                ) from error
        return tuple(segments)

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *(len(segment) for segment in self._segments)])

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of some rows: (...) → (..., E, D), float32.

        Raises
        ------
        ReferenceSetError
            The set holds routings alone.
        """
        if not self.paths:
            raise ReferenceSetError(
                N_("This reference set holds routings alone: no loss can be computed on it."),
                N_("Use Mode Finding, or Kernel Regression with a fixed α."),
            )
        if len(self._segments) == 1:
            return np.array(self._segments[0][rows])
        flat = rows.reshape(-1)
        taken = np.empty((len(flat), *self._segments[0].shape[1:]), dtype=np.float32)
        owner = np.searchsorted(self._starts, flat, side="right") - 1
        for number, segment in enumerate(self._segments):
            own = owner == number
            taken[own] = segment[flat[own] - self._starts[number]]
        return taken.reshape(*rows.shape, *taken.shape[1:])
