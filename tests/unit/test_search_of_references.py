"""Search in a reference set, on four samples with known geometry."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from r2t2_core.errors import ImageError, QuestionError
from r2t2_core.reference_search import by_id, by_picture, by_words

IDS = np.array(["ref-1", "REF-10", "other-ref-1", "ref-2"])


@pytest.fixture
def engine() -> SimpleNamespace:
    """An engine whose embedder and model always see the same thing."""
    reference = SimpleNamespace(
        embeddings=np.eye(4, dtype=np.float32),
        # Standardised with mean 1 and scale 2 the third points where the query does.
        image_features=np.array([[1, 3], [3, 1], [5, 5], [-1, -1]], dtype=np.float32),
        manifest=SimpleNamespace(image_mean=(1.0, 1.0), image_scale=(2.0, 2.0)),
        sample=lambda row: SimpleNamespace(question="where?"),
    )
    embedder = SimpleNamespace(
        embed=lambda texts: np.array([[0.1, 0.9, 0.3, 0.2]] * len(texts), dtype=np.float32)
    )
    prepared = SimpleNamespace(image_features=torch.tensor([[2.0, 2.0]]))
    model = SimpleNamespace(prepare=lambda samples: prepared)
    return SimpleNamespace(reference=reference, embedder=embedder, model=model)


def test_words_find_the_nearest_meanings_first(engine):
    hits = by_words(engine, "Where is the key?", 3)
    assert hits.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(hits.similarity, [0.9, 0.3, 0.2], atol=1e-6)
    with pytest.raises(QuestionError):
        by_words(engine, "  ", 3)


def test_a_picture_finds_the_most_similar_pictures(engine):
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "#3f8fd2").save(buffer, "PNG")
    hits = by_picture(engine, buffer.getvalue(), 4)
    assert hits.rows[0] == 2
    assert hits.rows[-1] == 3
    np.testing.assert_allclose(hits.similarity[[0, -1]], [1, -1], atol=1e-6)
    with pytest.raises(ImageError):
        by_picture(engine, b"no picture", 4)


def test_ids_are_found_whole_then_by_beginning_then_anywhere():
    assert by_id(IDS, "ref-1", 9).rows.tolist() == [0, 1, 2]
    assert by_id(IDS, "REF-1", 2).rows.tolist() == [0, 1]
    assert by_id(IDS, "nothing", 9).rows.tolist() == []
    assert by_id(IDS, " ", 9).rows.tolist() == []
