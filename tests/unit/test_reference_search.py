"""Approximate search: chosen by size, measured, stored, and added to."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from r2t2_core.reference import search
from r2t2_core.reference.edit import append, floats, subset, write_table
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.manifest import Manifest, sealed
from r2t2_core.reference.search import read_reports
from r2t2_core.reference.store import ReferenceSet


def clustered(size: int, dimension: int, seed: int) -> np.ndarray:
    """Return unit vectors in clusters, as questions of some hundred wordings are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((300, dimension), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = centres[rng.integers(300, size=size)]
    rows += 0.5 / dimension**0.5 * rng.standard_normal((size, dimension), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def large_set(root, size: int, dimension: int = 24, seed: int = 1, name: str = "large"):
    rng = np.random.default_rng(seed)
    routing = rng.dirichlet(np.ones(3), size).astype(np.float32)
    label = pa.array(["yes"]).take(pa.array(np.zeros(size, dtype=np.int64)))
    table = pa.table(
        {
            "id": [f"{name}{row}" for row in range(size)],
            "question": label,
            "label": label,
            "model_answer": label,
            "is_correct": np.ones(size, dtype=bool),
            "refined_correct": np.ones(size, dtype=bool),
            "family": label,
            "style": label,
            "image": label,
            "embedding": floats(clustered(size, dimension, seed)),
            "routing": floats(routing),
            "refined_routing": floats(routing),
            "image_features": floats(rng.standard_normal((size, 2), dtype=np.float32)),
        }
    )
    root.mkdir(parents=True)
    manifest = Manifest(
        name=name, size=size, created_at="2026-01-01T00:00:00+00:00", licence="", source="",
        model="m", model_fingerprint="f" * 64, embedder="e", embedder_hash="e" * 64,
        experts=tuple("abc"), answers=("yes",), image_mean=(0.0,) * 2, image_scale=(1.0,) * 2,
        file_hashes={write_table(root, "samples", table): ""}, routing_only=True,
    )  # fmt: skip
    sealed(root, manifest)
    return ReferenceSet.load(root)


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(search, "EXACT_UP_TO", 1000)
    monkeypatch.setattr(search, "GRAPH_UP_TO", 3000)


@pytest.mark.parametrize(("size", "kind"), [(900, "exact"), (2500, "graph"), (5000, "lists")])
def test_the_size_decides_and_the_recall_is_measured(tmp_path, small_limits, size, kind):
    reference = large_set(tmp_path / "versions" / "one", size)
    report = ReferenceIndex(reference).search_of("all_labelled").report
    assert report.kind == kind
    assert report.size == size
    if kind == "exact":
        assert read_reports(reference.root) == {}
        return
    assert report.recall >= search.WANTED_RECALL
    assert read_reports(reference.root)["all_labelled"] == report
    # Measured anew, with other queries, by brute force.
    rng = np.random.default_rng(9)
    queries = reference.embeddings[rng.choice(size, 50)] + 0.02 * rng.standard_normal(
        (50, 24), dtype=np.float32
    )
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _similarity, places = ReferenceIndex(reference).search_of("all_labelled").search(queries, 20)
    truth = np.argsort(-(queries @ reference.embeddings.T), 1)[:, :20]
    hits = [len(set(a) & set(b)) for a, b in zip(places.tolist(), truth.tolist(), strict=True)]
    assert sum(hits) / truth.size > 0.9


@pytest.mark.parametrize("size", [2500, 5000])
def test_adding_takes_the_parents_index_over(tmp_path, small_limits, monkeypatch, size):
    versions = tmp_path / "versions"
    made = large_set(versions / "new", size)
    root = versions / made.manifest.content_hash[:16]
    (versions / "new").rename(root)
    base = ReferenceSet.load(root)
    ReferenceIndex(base).search_of("all_labelled")
    more = large_set(tmp_path / "more", 100, seed=2, name="more")
    append(base, more, versions / "both", {"name": "both"})
    both = ReferenceSet.load(versions / "both")
    monkeypatch.setattr(search, "_train", lambda *_: pytest.fail("the index was built anew"))
    found = ReferenceIndex(both).search_of("all_labelled")
    assert found.report.taken_over == size
    assert found.size == size + 100
    query = more.embeddings[[7]]
    similarity, places = found.search(query, 1)
    assert similarity[0, 0] == pytest.approx(1, abs=1e-5)
    assert places[0, 0] == size + 7


def test_a_version_that_also_lost_samples_is_searched_anew(tmp_path, small_limits):
    versions = tmp_path / "versions"
    made = large_set(versions / "new", 2500)
    root = versions / made.manifest.content_hash[:16]
    (versions / "new").rename(root)
    base = ReferenceSet.load(root)
    ReferenceIndex(base).search_of("all_labelled")
    subset(base, np.arange(500, 2500), tmp_path / "less", {"name": "less"})
    more = large_set(tmp_path / "more", 600, seed=2, name="more")
    less = ReferenceSet.load(tmp_path / "less")
    about = {"name": "both", "parents": (base.manifest.content_hash,)}
    append(less, more, versions / "both", about)
    found = ReferenceIndex(ReferenceSet.load(versions / "both")).search_of("all_labelled")
    assert found.report.taken_over == 0
    assert found.size == 2600


def test_a_damaged_report_of_another_size_is_not_believed(tmp_path, small_limits):
    reference = large_set(tmp_path / "versions" / "one", 2500)
    ReferenceIndex(reference).search_of("all_labelled")
    path = reference.root / "search" / "all_labelled.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": 7}))
    assert ReferenceIndex(reference).search_of("all_labelled").report.size == 2500


@pytest.mark.slow
def test_a_million_references_and_a_thousand_more(tmp_path):
    """Memory-mapped, searched by lists, within the recall that is stored; adding is cheap."""
    size, dimension = 1_000_000, 384
    versions = tmp_path / "versions"
    made = large_set(versions / "new", size, dimension)
    assert made.manifest.files("samples") == ("samples.arrow",)
    # The embeddings lie in the file, not in this process.
    assert made.embeddings.base is not None
    assert not made.embeddings.flags.owndata
    root = versions / made.manifest.content_hash[:16]
    (versions / "new").rename(root)
    base = ReferenceSet.load(root)
    index = ReferenceIndex(base)
    report = index.search_of("refined").report
    assert report.kind == "lists"
    assert report.recall >= search.WANTED_RECALL
    queries = base.embeddings[[5, 500_000, 999_999]]
    features = np.full((3, 2), 9.0, np.float32)
    params = RetrievalParams(policy="refined", n_neighbours=10)
    found = index.retrieve(queries, features, params).neighbours
    assert found.index[:, 0].tolist() == [5, 500_000, 999_999]
    more = large_set(tmp_path / "more", 1000, dimension, seed=2, name="more")
    append(base, more, versions / "both", {"name": "both"})
    added = ReferenceIndex(ReferenceSet.load(versions / "both")).search_of("refined").report
    assert (added.taken_over, added.size) == (size, size + 1000)
    assert added.recall >= 0.9
