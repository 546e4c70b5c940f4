"""Search in a reference set: by words, by picture, by id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from r2t2_core.engine import Engine
from r2t2_core.intake.image import read_image
from r2t2_core.intake.question import read_question
from r2t2_core.types import Sample


@dataclass(frozen=True)
class Hits:
    """What a search found, best first.

    Attributes
    ----------
    rows : ndarray (n,), int64
        Rows of the reference set.
    similarity : ndarray (n,), float32
        Cosine similarity with what was asked for; 1 for an id.
    """

    rows: np.ndarray
    similarity: np.ndarray


def by_words(engine: Engine, text: str, count: int) -> Hits:
    """Return the samples whose questions mean the most similar: by their task embeddings.

    Raises
    ------
    QuestionError
        The text cannot be used as a question.
    """
    vector = engine.embedder.embed([read_question(text).text])[0]
    return _best(engine.reference.embeddings @ vector, count)


def by_picture(engine: Engine, image: bytes, count: int) -> Hits:
    """Return the samples whose pictures are the most similar: cosine of standardised features.

    Raises
    ------
    ImageError
        The file cannot be used as a picture.
    """
    picture = read_image(image).image
    reference = engine.reference
    # The features are the picture's alone; any question will do.
    question = str(reference.sample(0).question)
    features = engine.model.prepare([Sample(picture, question)]).image_features.cpu().numpy()
    mean = np.array(reference.manifest.image_mean, dtype=np.float32)
    scale = np.array(reference.manifest.image_scale, dtype=np.float32)
    own = (reference.image_features - mean) / scale
    other = ((features - mean) / scale)[0]
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(other)
    return _best(own @ other / np.maximum(lengths, 1e-12), count)


def by_id(ids: np.ndarray, text: str, count: int) -> Hits:
    """Return the samples whose id is, begins with or contains a text, in that order.

    Parameters
    ----------
    ids : ndarray (N,) of str
    text : str
    count : int
    """
    wanted = text.strip().lower()
    lower = np.strings.lower(ids.astype(str))
    if not wanted:
        return Hits(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    rank = np.full(len(ids), 3)
    rank[np.strings.find(lower, wanted) >= 0] = 2
    rank[np.strings.startswith(lower, wanted)] = 1
    rank[lower == wanted] = 0
    rows = np.flatnonzero(rank < 3)
    rows = rows[np.argsort(rank[rows], kind="stable")][:count]
    return Hits(rows, np.ones(len(rows), dtype=np.float32))


def _best(similarity: np.ndarray, count: int) -> Hits:
    rows = np.argsort(-similarity, kind="stable")[:count]
    return Hits(rows, similarity[rows].astype(np.float32))
