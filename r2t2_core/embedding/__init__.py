"""Task embeddings: where questions that ask for the same skill lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class TaskEmbedder(Protocol):
    """Embeds questions."""

    @property
    def name(self) -> str:
        """Name, as shown to people."""

    def fingerprint(self) -> str:
        """SHA-256 of the embedder's weights."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return embeddings (n, d), float32, of unit length."""
