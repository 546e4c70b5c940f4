"""The reference store and the retrieval, on a small set with known geometry."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from r2t2_core.errors import NeighbourhoodError, ParameterError, ReferenceSetError
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams, _unit
from r2t2_core.reference.store import Manifest, ReferenceSet, write_reference_set

SIZE, DIMENSION, EXPERTS, FEATURES = 40, 6, 3, 4


def column(matrix: np.ndarray) -> pa.Array:
    values = pa.array(matrix.astype(np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(SIZE, DIMENSION))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    routing = rng.dirichlet(np.ones(EXPERTS), SIZE)
    features = rng.normal(size=(SIZE, FEATURES))
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "images" / "0.jpg").write_bytes(b"picture")
    table = pa.table(
        {
            "id": [f"s{row}" for row in range(SIZE)],
            "question": [f"question {row}" for row in range(SIZE)],
            "label": ["yes" if row % 2 else "no" for row in range(SIZE)],
            "model_answer": ["yes"] * SIZE,
            "is_correct": [row % 2 == 1 for row in range(SIZE)],
            "refined_correct": [row % 4 != 0 for row in range(SIZE)],
            "family": ["existence"] * SIZE,
            "style": ["plain"] * SIZE,
            "image": ["images/0.jpg"] * SIZE,
            "embedding": column(embeddings),
            "routing": column(routing),
            "refined_routing": column(routing[::-1].copy()),
            "image_features": column(features),
        }
    )
    manifest = Manifest(
        name="small", size=SIZE, created_at="2026-01-01T00:00:00+00:00", licence="", source="test",
        model="m", model_fingerprint="f" * 64, embedder="e", embedder_hash="e" * 64,
        experts=("a", "b", "c"), answers=("yes", "no"), image_mean=(0.0,) * FEATURES,
        image_scale=(1.0,) * FEATURES, file_hashes={},
    )  # fmt: skip
    write_reference_set(root, manifest, table, rng.normal(size=(SIZE, EXPERTS, 5)))
    return root


def test_a_set_comes_back_as_it_was_written(folder):
    reference = ReferenceSet.load(
        folder, model_fingerprint="f" * 64, embedder_hash="e" * 64, verify=True
    )
    assert len(reference) == SIZE
    assert reference.sample(3).question == "question 3"
    assert reference.labels[:2].tolist() == [1, 0]
    assert reference.eligible("correct_only").sum() == 20
    assert reference.eligible("refined").sum() == 30
    assert reference.eligible("all_labelled").all()
    assert np.array_equal(
        reference.routing_for("refined"), reference.routing_for("correct_only")[::-1]
    )


@pytest.mark.parametrize(
    "name", ["samples.parquet", "expert_outputs.npy", "images/0.jpg", "manifest.json"]
)
def test_a_changed_file_is_noticed(folder, name):
    path = folder / name
    if name == "manifest.json":
        fields = json.loads(path.read_text())
        fields["licence"] = "mine"
        path.write_text(json.dumps(fields))
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    with pytest.raises(ReferenceSetError):
        ReferenceSet.load(folder, verify=True)


@pytest.mark.parametrize("damage", ["empty", "short", "changed", "missing"])
def test_damaged_expert_outputs_are_noticed(folder, damage):
    path = folder / "expert_outputs.npy"
    outputs = np.load(path)
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        np.save(path, outputs[:-1] if damage == "short" else -outputs)
    with pytest.raises(ReferenceSetError, match=r"expert_outputs\.npy"):
        ReferenceSet.load(folder)


def test_the_time_of_making_is_no_part_of_the_content(folder):
    manifest = ReferenceSet.load(folder).manifest
    later = manifest.model_copy(update={"created_at": "2027-01-01T00:00:00+00:00"})
    assert later.compute_hash() == manifest.content_hash
    other = manifest.model_copy(update={"size": 41})
    assert other.compute_hash() != manifest.content_hash


def test_a_set_of_another_model_or_embedder_is_refused(folder, tmp_path):
    with pytest.raises(ReferenceSetError, match="another model"):
        ReferenceSet.load(folder, model_fingerprint="0" * 64)
    with pytest.raises(ReferenceSetError, match="another embedder"):
        ReferenceSet.load(folder, embedder_hash="0" * 64)
    with pytest.raises(ReferenceSetError, match="cannot be read"):
        ReferenceSet.load(tmp_path / "nowhere")
    with pytest.raises(ParameterError, match="policy called all"):
        ReferenceSet.load(folder).eligible("all")


@pytest.mark.parametrize("policy", ["correct_only", "all_labelled", "refined"])
def test_retrieval_agrees_with_brute_force(folder, policy):
    reference = ReferenceSet.load(folder)
    queries = reference.embeddings[[4, 9]] + 0.3
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    features = np.full((2, FEATURES), 9.0, dtype=np.float32)
    found = (
        ReferenceIndex(reference)
        .retrieve(queries, features, RetrievalParams(policy=policy))
        .neighbours
    )
    similarity = queries @ reference.embeddings.T
    similarity[:, ~reference.eligible(policy)] = -2
    expected = np.argsort(-similarity, axis=1)[:, :5]
    assert np.array_equal(found.index.numpy(), expected)
    assert np.allclose(
        found.similarity.numpy(), np.take_along_axis(similarity, expected, 1), atol=1e-6
    )
    assert np.allclose(found.weight.sum(1).numpy(), 1)
    assert np.array_equal(found.routing[0].numpy(), reference.routing_for(policy)[expected[0]])


def test_a_near_duplicate_in_text_and_picture_is_left_out(folder):
    reference = ReferenceSet.load(folder)
    query, features = reference.embeddings[[7]], reference.image_features[[7]]
    params = RetrievalParams(policy="all_labelled")
    found = ReferenceIndex(reference).retrieve(query, features, params)
    assert 7 not in found.neighbours.index
    assert found.left_out[0] == 1
    elsewhere = ReferenceIndex(reference).retrieve(query, -features, params)
    assert elsewhere.neighbours.index[0, 0] == 7
    assert elsewhere.left_out[0] == 0


def test_a_ball_holds_all_within_and_none_without(folder):
    reference = ReferenceSet.load(folder)
    query, features = reference.embeddings[[7]], -reference.image_features[[7]]
    params = RetrievalParams(policy="all_labelled", mode="ball", radius=0.5)
    found = ReferenceIndex(reference).retrieve(query, features, params).neighbours
    assert set(found.index[0].tolist()) == set(
        np.flatnonzero(query[0] @ reference.embeddings.T >= 0.5)
    )
    far = np.zeros((1, DIMENSION), dtype=np.float32)
    with pytest.raises(NeighbourhoodError, match=r"0\.50 or more; the nearest has 0\.00"):
        ReferenceIndex(reference).retrieve(far, features, params)


def test_the_random_control_depends_on_key_and_seed_alone(folder):
    reference = ReferenceSet.load(folder)
    features = np.full((3, FEATURES), 9.0, dtype=np.float32)

    def draw(rows: slice, keys: list[str], seed: int = 0) -> list[list[int]]:
        queries = reference.embeddings[rows]
        params = RetrievalParams(seed=seed)
        found = ReferenceIndex(reference).retrieve(queries, features[: len(queries)], params, keys)
        assert reference.eligible("correct_only")[found.random_neighbours.index.numpy()].all()
        return found.random_neighbours.index.tolist()

    whole = draw(slice(0, 3), ["a", "b", "c"])
    assert draw(slice(2, 3), ["c"]) == [whole[2]]
    assert draw(slice(0, 1), ["c"]) == [whole[2]]
    assert draw(slice(2, 3), ["c"], seed=1) != [whole[2]]
    assert draw(slice(2, 3), ["d"]) != [whole[2]]


def test_pictures_far_from_all_are_far(folder):
    reference = ReferenceSet.load(folder)
    near = ReferenceIndex(reference).picture_distance(reference.image_features[:1])
    far = ReferenceIndex(reference).picture_distance(reference.image_features[:1] + 50)
    assert near[0] < 2 < far[0]


def test_retrieval_parameters_are_bounded():
    with pytest.raises(ParameterError, match="n_neighbours must be 1 or more, not 0"):
        RetrievalParams.parse({"n_neighbours": 0})


def test_numbers_that_are_none_are_refused(folder):
    index = ReferenceIndex(ReferenceSet.load(folder))
    queries, features = index.reference.embeddings[:1], np.zeros((1, FEATURES), dtype=np.float32)
    for bad in ((queries * np.nan, features), (queries, features * np.nan)):
        with pytest.raises(NeighbourhoodError, match="not a finite number"):
            index.retrieve(*bad, RetrievalParams())


def test_a_query_among_many_duplicates_still_gets_its_neighbours(folder, monkeypatch):
    monkeypatch.setattr("r2t2_core.reference.index.MARGIN", 1)
    index = ReferenceIndex(ReferenceSet.load(folder))
    queries, features = index.reference.embeddings[:1], index.reference.image_features[:1]
    # Everything that is half alike counts as a duplicate.
    params = RetrievalParams(policy="all_labelled", n_neighbours=8, duplicate_threshold=0.0)
    found = index.retrieve(queries, features, params)
    similarity = index.reference.embeddings @ queries[0]
    alike = _unit(index.reference.image_features) @ _unit(features)[0]
    wanted = [row for row in np.argsort(-similarity) if not (similarity[row] > 0 < alike[row])]
    assert found.neighbours.index[0].tolist() == [int(row) for row in wanted[:8]]
    assert set(found.random_neighbours.index[0].tolist()) <= {int(row) for row in wanted}


def test_a_ball_says_when_it_is_too_full(folder, monkeypatch):
    monkeypatch.setattr("r2t2_core.reference.index.BALL_LIMIT", 5)
    index = ReferenceIndex(ReferenceSet.load(folder))
    queries, features = index.reference.embeddings[:1], np.full((1, FEATURES), 9.0, np.float32)
    for radius, full in ((0.0, True), (0.99, False)):
        params = RetrievalParams(policy="all_labelled", mode="ball", radius=radius)
        assert index.retrieve(queries, features, params).truncated.tolist() == [full]


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_picture_with_a_share_ranks_as_brute_force_does(folder, share):
    reference = ReferenceSet.load(folder)
    index = ReferenceIndex(reference)
    rng = np.random.default_rng(5)
    query, features = rng.normal(size=(2, DIMENSION)), rng.normal(size=(2, FEATURES))
    query = (query / np.linalg.norm(query, axis=1, keepdims=True)).astype(np.float32)
    params = RetrievalParams(policy="all_labelled", image_share=share, n_neighbours=6)
    found = index.retrieve(query, features.astype(np.float32), params)
    text = query @ reference.embeddings.T
    picture = _unit(features) @ _unit(reference.image_features).T
    mixed = (1 - share) * text + share * np.maximum(picture, 0)
    for row in range(2):
        expected = np.argsort(-mixed[row], kind="stable")[:6]
        similar = mixed[row][found.neighbours.index[row].numpy()]
        assert similar == pytest.approx(mixed[row][expected], abs=1e-5)
        assert found.neighbours.similarity[row].numpy() == pytest.approx(similar, abs=1e-5)
    # The gate's nearness stays that of the question.
    assert found.similarity_best == pytest.approx(text.max(1), abs=1e-5)
