"""Maps of a reference set: what is near stays near, and the same on every day."""

from __future__ import annotations

import numpy as np
import pytest

from r2t2_core.errors import Cancelled, ReferenceSetError
from r2t2_core.projection import (
    FEWEST,
    fit_projection,
    neighbours_kept,
    place_points,
    routing_vectors,
    spread,
)
from r2t2_core.projection_store import ProjectionStore

HASH = "0123456789abcdef" * 4


def clusters(per: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three groups of unit vectors in eight dimensions, and whose each is."""
    generator = np.random.default_rng(seed)
    centres = np.eye(8)[:3] * 4
    of = np.repeat(np.arange(3), per)
    points = centres[of] + generator.normal(size=(3 * per, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), of


@pytest.fixture(scope="module")
def fitted():
    vectors, of = clusters()
    heard: list[tuple[str, float]] = []
    projection = fit_projection(
        vectors, "questions", HASH, progress=lambda stage, share: heard.append((stage, share))
    )
    return vectors, of, projection, heard


def test_groups_lie_apart_and_neighbours_are_kept(fitted):
    vectors, of, projection, _heard = fitted
    centres = np.stack([projection.coordinates[of == group].mean(0) for group in range(3)])
    nearest = ((projection.coordinates[:, None] - centres) ** 2).sum(2).argmin(1)
    assert (nearest == of).mean() > 0.95
    # By chance 15 of 119 others would be kept.
    assert projection.preserved > 2 * 15 / 119
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    expected = np.sort(cosine, 1)[:, -15:].mean(1)
    np.testing.assert_allclose(projection.nearness, expected, atol=1e-4)


def test_progress_comes_in_order_and_reaches_the_end(fitted):
    shares = [share for _stage, share in fitted[3]]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9
    assert len({stage for stage, _share in fitted[3]}) == 2


def test_the_same_seed_gives_the_same_map(fitted):
    vectors, _of, projection, _heard = fitted
    again = fit_projection(vectors, "questions", HASH)
    np.testing.assert_array_equal(again.coordinates, projection.coordinates)


def test_a_cancel_stops_the_fit():
    vectors, _of = clusters()
    with pytest.raises(Cancelled):
        fit_projection(vectors, "questions", HASH, cancelled=lambda: True)
    calls = iter([False] * 3 + [True] * 10_000)
    with pytest.raises(Cancelled):
        fit_projection(vectors, "questions", HASH, cancelled=lambda: next(calls))


def test_too_few_samples_are_said():
    with pytest.raises(ReferenceSetError, match=str(FEWEST)):
        fit_projection(np.eye(5, dtype=np.float32), "questions", HASH)


def test_a_point_equal_to_a_sample_lies_on_it_and_others_within_their_neighbours(fitted):
    vectors, of, projection, _heard = fitted
    np.testing.assert_allclose(
        place_points(vectors[:7], vectors, projection.coordinates),
        projection.coordinates[:7],
        atol=1e-4,
    )
    new, whose = clusters(per=10, seed=1)
    placed = place_points(new, vectors, projection.coordinates)
    centres = np.stack([projection.coordinates[of == group].mean(0) for group in range(3)])
    assert (((placed[:, None] - centres) ** 2).sum(2).argmin(1) == whose).mean() > 0.9


def test_samples_that_share_a_place_lie_side_by_side():
    places = np.array([[0.0, 0.0], [10.0, 0.0]], dtype=np.float32)
    of = np.array([0, 1, 0, 0, 1])
    coordinates = spread(places, of)
    assert len(np.unique(coordinates, axis=0)) == 5
    np.testing.assert_array_equal(coordinates[0], places[0])
    assert np.abs(coordinates - places[of]).max() < 0.1


def test_neighbours_kept_is_one_for_the_plane_itself():
    plane = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    lifted = np.concatenate([plane, np.full((200, 1), 60, np.float32)], 1)
    lifted /= np.linalg.norm(lifted, axis=1, keepdims=True)
    assert neighbours_kept(lifted, plane) > 0.9
    assert neighbours_kept(lifted, plane[::-1]) < 0.3


def test_routing_vectors_are_of_unit_length():
    routing = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(np.linalg.norm(routing_vectors(routing), axis=1), 1, atol=1e-6)


def test_a_stored_map_comes_back_and_another_versions_does_not(fitted, tmp_path):
    projection = fitted[2]
    store = ProjectionStore(tmp_path / "maps")
    assert store.load(HASH, "questions") is None
    path = store.save(projection)
    found = store.load(HASH, "questions")
    assert found is not None
    np.testing.assert_array_equal(found.coordinates, projection.coordinates)
    np.testing.assert_array_equal(found.nearness, projection.nearness)
    assert found.preserved == projection.preserved
    # Same first half of the hash, another version.
    assert store.load(HASH[:32] + "f" * 32, "questions") is None
    assert store.load(HASH, "routing") is None
    other = ProjectionStore(tmp_path / "elsewhere", (tmp_path / "maps",))
    assert other.load(HASH, "questions") is not None
    path.write_bytes(b"damaged")
    assert store.load(HASH, "questions") is None


def test_a_name_that_is_no_hash_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no map"):
        ProjectionStore(tmp_path).load("../../secret", "questions")
