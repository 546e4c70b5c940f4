"""Versions of reference sets: immutable, content-addressed, shared, stacked, named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r2t2_core.decision import NeighbourRecord
from r2t2_core.errors import ParameterError, ReferenceSetError
from r2t2_core.recording import record_neighbours
from r2t2_core.reference.diff import compare_versions
from r2t2_core.reference.edit import append, subset
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.layers import open_reference, parse_stack, stack
from r2t2_core.reference.library import Library
from r2t2_core.reference.manifest import Manifest
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.types import GateSpec, RoutingSpec
from tests.unit.curation_world import SPEC, rows_of, small_set

ARRAYS = ("embeddings", "image_features", "router_routing", "labels")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> ReferenceSet:
    return small_set(tmp_path_factory.mktemp("base") / "set", rows_of(40))


@pytest.fixture(scope="module")
def more(tmp_path_factory) -> ReferenceSet:
    return small_set(tmp_path_factory.mktemp("more") / "set", rows_of(15, seed=1), "more")


@pytest.fixture
def library(tmp_path, base) -> Library:
    return Library(tmp_path / "reference", base.root)


def fresh(folder: Path) -> Path:
    return folder / str(len(list(folder.iterdir())))


def same_samples(one: ReferenceSet, rows: np.ndarray, other: ReferenceSet, others: np.ndarray):
    for name in ARRAYS:
        assert np.array_equal(getattr(one, name)[rows], getattr(other, name)[others])
    for policy in ("correct_only", "refined", "all_labelled"):
        assert np.array_equal(one.eligible(policy)[rows], other.eligible(policy)[others])
        assert np.array_equal(one.routing_for(policy)[rows], other.routing_for(policy)[others])
    outputs = [s.outputs_of(torch.from_numpy(r)) for s, r in ((one, rows), (other, others))]
    assert torch.equal(*outputs)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.integers(0, 39), min_size=1, max_size=40, unique=True))
def test_any_subset_comes_back_as_it_was(base, tmp_path, rows):
    chosen = np.array(rows)
    root = fresh(tmp_path)
    manifest = subset(base, chosen, root, {"name": "part"})
    part = ReferenceSet.load(root, verify=True)
    assert part.manifest == manifest
    assert manifest.parents == (base.manifest.content_hash,)
    same_samples(base, chosen, part, np.arange(len(chosen)))
    # The same samples in the same order are the same version, whenever they were written.
    again = fresh(tmp_path)
    assert subset(base, chosen, again, {"name": "part"}).content_hash == manifest.content_hash
    if len(rows) > 1:
        turned = subset(base, chosen[::-1], fresh(tmp_path), {"name": "part"})
        assert turned.content_hash != manifest.content_hash


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.lists(st.integers(0, 39), min_size=1, max_size=20, unique=True),
    second=st.lists(st.integers(0, 14), min_size=1, max_size=15, unique=True),
)
def test_what_is_appended_stands_behind_what_was_there(base, more, tmp_path, first, second):
    one, two, both = (tmp_path / f"{fresh(tmp_path).name}-{n}" for n in "abc")
    subset(base, np.array(first), one, {"name": "a"})
    subset(more, np.array(second), two, {"name": "b"})
    left, right = ReferenceSet.load(one), ReferenceSet.load(two)
    append(left, right, both, {"name": "c"})
    whole = ReferenceSet.load(both, verify=True)
    count = len(left)
    same_samples(whole, np.arange(count), left, np.arange(count))
    same_samples(whole, np.arange(count, len(whole)), right, np.arange(len(right)))
    # The parent's files are shared, not copied.
    assert (both / "samples.parquet").samefile(one / "samples.parquet")
    assert whole.image_path(len(whole) - 1).read_bytes() == b"a picture"


def test_identifiers_stay_unique_when_sets_meet(base, tmp_path):
    append(base, base, tmp_path / "twice", {"name": "twice"})
    identifiers = ReferenceSet.load(tmp_path / "twice").column("id")
    assert len(set(identifiers)) == 2 * len(base)


def test_sets_of_different_embedders_never_meet(base, more, tmp_path):
    other = ReferenceSet(
        more.root, more.manifest.model_copy(update={"embedder_hash": "0" * 64}), more.table
    )
    with pytest.raises(ReferenceSetError, match="different models or embedders"):
        append(base, other, tmp_path / "both", {})
    with pytest.raises(ReferenceSetError, match="different models or embedders"):
        stack([("a", 1.0, base), ("b", 1.0, other)])


def test_a_manifest_without_the_later_fields_keeps_its_hash(base):
    old = base.manifest.model_dump(mode="json")
    for name in ("parents", "author", "note", "policy", "gates", "routing_only", "local"):
        del old[name]
    manifest = Manifest.model_validate(old)
    import hashlib

    import rfc8785

    plain = {key: value for key, value in old.items() if key not in ("content_hash", "created_at")}
    assert manifest.compute_hash() == hashlib.sha256(rfc8785.dumps(plain)).hexdigest()


def test_a_name_points_forward_and_back(base, library, tmp_path):
    digests = []
    for size in (10, 20):
        subset(base, np.arange(size), tmp_path / str(size), {"name": "shop"})
        digests.append(library.add(tmp_path / str(size), "shop", "build").manifest.content_hash)
    assert library.history("shop") == tuple(digests)
    assert ReferenceSet.load(library.find("shop")).manifest.size == 20
    assert ReferenceSet.load(library.find(digests[0][:10])).manifest.size == 10
    assert library.roll_back("shop") == digests[0]
    assert ReferenceSet.load(library.find("shop")).manifest.size == 10
    with pytest.raises(ReferenceSetError, match="no earlier version"):
        library.roll_back("shop")
    # Nothing was lost: the later version is still there, and what was done is written down.
    assert ReferenceSet.load(library.find(digests[1][:10])).manifest.size == 20
    assert [entry["event"] for entry in library.events()] == ["build", "build", "roll back"]
    assert {version.manifest.size for version in library.versions()} == {10, 20, len(base)}


@pytest.mark.parametrize("name", ["", "../up", "a/b", "shipped", "a" * 65, ".hidden", "a b"])
def test_names_that_are_paths_are_refused(base, library, tmp_path, name):
    with pytest.raises(ReferenceSetError, match="cannot be the name"):
        library.point(name, base.manifest.content_hash, "tag")


def test_use_is_remembered(base, library):
    assert library.in_use == "shipped"
    library.point("mine", base.manifest.content_hash, "tag")
    library.use("mine")
    assert library.in_use == "mine"
    assert library.find(library.in_use) == base.root
    with pytest.raises(ReferenceSetError, match="no reference set called nothing"):
        library.use("nothing")


def test_a_set_of_another_topology_is_refused_in_words(base, library):
    other = RoutingSpec((GateSpec("image", ("x", "y")), GateSpec("language", ("u", "v"))))
    with pytest.raises(ReferenceSetError, match=r"routes over \(one, two, three, four\); the mode"):
        open_reference(
            library, "", model_fingerprint="f" * 64, embedder_hash="e" * 64, routing_spec=other
        )


def test_a_difference_names_what_changed(base, tmp_path):
    import pyarrow as pa

    labels = [base.sample(row).label for row in range(5, 40)]
    labels[0] = "a" if labels[0] != "a" else "b"
    columns = {"label": pa.array(labels)}
    subset(base, np.arange(5, 40), tmp_path / "part", {"name": "part"}, columns)
    found = compare_versions(base, ReferenceSet.load(tmp_path / "part"))
    assert found.removed == tuple(base.sample(row).id for row in range(5))
    assert found.added == ()
    assert found.relabelled == ((base.sample(5).id, base.sample(5).label, labels[0]),)
    assert found.same_model
    assert 0 <= found.family_shift < 0.2
    assert set(found.routing) == set(SPEC.experts)


# --- layers -----------------------------------------------------------------------------------


def test_a_stack_is_read_from_words():
    assert parse_stack("shipped + shop:2.5") == (("shipped", 1.0), ("shop", 2.5))
    for text in ("a:0", "a:-1", "a:x", "a:nan", "", "a++b"):
        with pytest.raises(ParameterError):
            parse_stack(text)


def test_a_heavier_layer_weighs_more(base, more):
    params = RetrievalParams(policy="refined", n_neighbours=20)
    query = base.embeddings[:1]
    features = np.full((1, base.image_features.shape[1]), 50.0, np.float32)

    def share(weight: float) -> float:
        made = stack([("base", 1.0, base), ("local", weight, more)])
        found = ReferenceIndex(made).retrieve(query, features, params).neighbours
        assert found.weight.sum() == pytest.approx(1)
        own = made.layer_of[found.index[0].numpy()] == 1
        return float(found.weight[0].numpy()[own].sum())

    light, equal, heavy = share(0.1), share(1.0), share(10.0)
    assert 0 < light < equal < heavy < 1
    # A weight scales odds: w·a / (w·a + b).
    assert heavy / (1 - heavy) == pytest.approx(10 * equal / (1 - equal), rel=1e-4)


def test_nothing_of_a_local_layer_but_hashes_is_recorded(base, more, tmp_path):
    subset(more, np.arange(15), tmp_path / "local", {"name": "secret", "local": True})
    made = stack([("base", 1.0, base), ("secret", 3.0, ReferenceSet.load(tmp_path / "local"))])
    features = np.full((1, base.image_features.shape[1]), 50.0, np.float32)
    params = RetrievalParams(policy="all_labelled", n_neighbours=40)
    found = ReferenceIndex(made).retrieve(more.embeddings[:1], features, params)
    records = record_neighbours(made, found)
    layers = {record.layer for record in records}
    assert layers == {"base", "secret"}
    secret = [record for record in records if record.layer == "secret"]
    texts = {more.sample(row).question for row in range(15)}
    identifiers = {more.sample(row).id for row in range(15)}
    for record in secret:
        text = record.model_dump_json()
        assert not any(word in text for word in texts | identifiers)
        assert record.id.startswith("sha256:")
        assert (record.image, record.family, record.label) == ("", "", "–")
    assert all(record.question.startswith("What") for record in records if record.layer == "base")
    told = record_neighbours(made, found, disclose_local=True)
    assert {record.question for record in told if record.layer == "secret"} <= texts
    # A picture is found in its own layer's folder.
    assert made.image_path(len(base)).parent == tmp_path / "local" / "images"


def test_a_record_of_one_set_has_no_layer(base):
    features = np.full((1, base.image_features.shape[1]), 50.0, np.float32)
    found = ReferenceIndex(base).retrieve(base.embeddings[:1], features, RetrievalParams())
    (first, *_rest) = record_neighbours(base, found)
    assert "layer" not in json.loads(first.model_dump_json())
    assert NeighbourRecord.model_validate_json(first.model_dump_json()) == first
