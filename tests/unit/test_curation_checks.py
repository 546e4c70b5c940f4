"""The health check: what is sound passes, what is spoilt is caught; small sets, refreshes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from r2t2_core.curation.amend import amend
from r2t2_core.curation.checks.coverage import expected_repair, farthest_first
from r2t2_core.curation.checks.finding import Thresholds, grade, worst
from r2t2_core.curation.checks.harm import measure_influence
from r2t2_core.curation.checks.neighbourhood import Bench, nearest_others, prepare_suite
from r2t2_core.curation.checks.report import check_reference
from r2t2_core.curation.checks.signal import separation, signal_test
from r2t2_core.curation.condense import condense, order_samples
from r2t2_core.curation.poison import (
    giant_family,
    labels_flipped,
    measure_catch_rates,
    near_duplicates,
    routings_shuffled,
)
from r2t2_core.curation.refresh import promote, refresh
from r2t2_core.curation.routing_json import MOAI, import_routings
from r2t2_core.engine import Engine
from r2t2_core.errors import ParameterError, ReferenceSetError
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.evaluation.suites import load_suite
from r2t2_core.figures.reference_checks import checks_page, condense_curve, figures_of
from r2t2_core.i18n import set_language
from r2t2_core.reference.edit import floats, subset
from r2t2_core.reference.index import ReferenceIndex
from r2t2_core.reference.library import Library
from r2t2_core.reference.store import ReferenceSet
from tests.unit.curation_world import (
    SmallEmbedder,
    rows_of,
    small_engine,
    small_set,
    write_folder,
)

SIZE = 240


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> ReferenceSet:
    return small_set(tmp_path_factory.mktemp("set") / "set", rows_of(SIZE))


@pytest.fixture(scope="module")
def engine(reference) -> Engine:
    return small_engine(reference)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return load_suite(write_folder(tmp_path_factory.mktemp("suite") / "held", rows_of(60, 7)))


@pytest.fixture(scope="module")
def prepared(engine, suite) -> PreparedSuite:
    return prepare_suite(engine, suite, None, 0)


def bench_of(engine: Engine, reference: ReferenceSet) -> Bench:
    return Bench(engine, reference, ReferenceIndex(reference), engine.default_retrieval, 0, 400)


@pytest.fixture
def library(tmp_path, reference) -> Library:
    made = Library(tmp_path / "reference", reference.root)
    subset(reference, np.arange(SIZE), tmp_path / "copy", {"name": "mine"})
    made.add(tmp_path / "copy", "mine", "build")
    return made


# --- the parts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "verdict"), [(0.05, "unusable"), (0.15, "weak"), (0.25, "usable"), (0.2, "usable")]
)
def test_a_figure_is_graded(figure, verdict):
    assert grade(figure, 0.2, 0.1, more_is_better=True) == verdict
    assert grade(-figure, -0.2, -0.1, more_is_better=False) == verdict


def test_the_worst_verdict_stands():
    assert worst(["usable", "not_assessed", "weak"]) == "weak"
    assert worst(["unusable", "weak"]) == "unusable"
    assert worst(["not_assessed"]) == "not_assessed"
    assert worst([]) == "not_assessed"


def test_the_permutation_test_is_calibrated_on_noise():
    """Of tests on noise, one in twenty has p ≤ 0.05."""
    rng = np.random.default_rng(0)
    small = 0
    for seed in range(200):
        routing = rng.dirichlet(np.ones(4), 60)
        pairs = rng.integers(0, 60, (150, 2))
        small += signal_test(routing, pairs, 1, seed, count=99).p_value <= 0.05
    assert 2 <= small <= 20


def test_separation_is_zero_for_noise_and_one_for_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c"], 40)
    noise, p_noise = separation(rng.dirichlet(np.ones(5), 120), groups, 0)
    apart, p_apart = separation(np.eye(3)[np.repeat(np.arange(3), 40)], groups, 0)
    assert noise < 0.1 < p_noise
    assert apart == pytest.approx(1)
    assert p_apart == pytest.approx(1 / 200)


def test_no_sample_is_its_own_neighbour(reference):
    rows = np.arange(SIZE)
    found = nearest_others(ReferenceIndex(reference), "all_labelled", rows, 5, 0.95)
    assert not (found == rows[:, None]).any()
    similarity = reference.embeddings @ reference.embeddings.T
    np.fill_diagonal(similarity, -2)
    expected = np.argsort(-similarity, 1)[:, 0]
    assert (found[:, 0] == expected).mean() > 0.99


def test_what_to_label_next_is_far_first_and_then_far_from_what_was_chosen():
    angles = np.deg2rad([0, 5, 80, 85, 170])
    points = np.stack([np.cos(angles), np.sin(angles)], 1)
    similarity = points @ points[0]
    assert farthest_first(points, similarity, 2).tolist() == [4, 3]
    assert len(set(farthest_first(points, similarity, 5).tolist())) == 5
    # Two doubtful questions near one another outweigh a lone one that is farther away.
    doubt = np.array([0.0, 0.0, 0.9, 0.9, 0.1])
    assert expected_repair(points, similarity, doubt, 1)[0] in (2, 3)
    # What is covered fully brings nothing.
    assert len(expected_repair(points, np.ones(5), doubt, 3)) == 0


def test_the_order_of_condensing_is_greedy_facility_location():
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(30, 4)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    routing = rng.dirichlet(np.ones(3), 30).astype(np.float32)
    apart = np.abs(routing[:, None] - routing[None]).sum(-1) / 2
    likeness = 0.5 * (embeddings @ embeddings.T) + 0.5 * (1 - apart)
    best, plain = np.zeros(30), []
    for _number in range(12):
        gains = np.maximum(likeness - best, 0).sum(1)
        gains[plain] = -1
        plain.append(int(gains.argmax()))
        best = np.maximum(best, likeness[plain[-1]])
    assert order_samples(embeddings, routing, 12).tolist() == plain


# --- the whole check --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(engine, reference, suite):
    return check_reference(engine, reference, [suite], limit=400)


def test_a_sound_set_is_usable(report):
    assert report.verdict == "usable"
    assert {finding.check for finding in report.findings} == {
        "signal", "usefulness", "bias", "labels", "duplicates", "coverage", "leakage", "harm",
    }  # fmt: skip
    assert all(finding.verdict == "usable" for finding in report.findings)
    assert report.finding("usefulness").figure > 0.3


def test_the_report_is_json_and_a_page(report):
    plain = json.loads(json.dumps(report.plain(), allow_nan=False))
    assert plain["verdict"] == "usable"
    for entry in plain["checks"]:
        assert entry["words"]
        assert "{" not in entry["words"]
    page = checks_page(report)
    assert page.count("<h2>") == len(report.findings)
    assert "<script src" not in page
    for finding in report.findings:
        for figure in figures_of(finding):
            assert figure.layout.xaxis.title.text
    set_language("ja")
    assert report.finding("signal").words.text() != str(report.finding("signal").words)


def test_thresholds_can_be_set(engine, reference):
    strict = Thresholds.parse({"bias_weak": "0.1", "bias_unusable": "0.2"})
    found = check_reference(engine, reference, (), strict, limit=100)
    assert found.finding("bias").verdict == "unusable"
    assert found.verdict == "unusable"
    assert found.finding("coverage").verdict == "not_assessed"
    with pytest.raises(ParameterError, match="nothing"):
        Thresholds.parse({"nothing": "1"})


@pytest.mark.parametrize(
    ("spoil", "check", "verdict"),
    [
        (routings_shuffled, "signal", "unusable"),
        (labels_flipped(0.3), "labels", "unusable"),
        (near_duplicates(0.5), "duplicates", "weak"),
        (giant_family(0.9), "bias", "unusable"),
    ],
)
def test_each_poison_is_caught_by_its_check(engine, reference, spoil, check, verdict):
    for seed in range(3):
        made = spoil(reference, engine.model, seed)
        found = check_reference(engine, made.reference, limit=400, seed=seed)
        assert found.finding(check).verdict == verdict
        assert found.verdict in ("weak", "unusable")


def test_flipped_labels_are_named(engine, reference):
    made = labels_flipped(0.1)(reference, engine.model, 0)
    found = check_reference(engine, made.reference, limit=SIZE).finding("labels")
    named = {entry["row"] for entry in found.numbers["review"]}
    guilty = set(made.rows.tolist())
    assert len(named & guilty) / len(guilty) > 0.9
    assert len(named & guilty) / len(named) > 0.9
    # The neighbours' answer is the one that stood there before.
    right = sum(
        entry["answer"] == reference.sample(entry["row"]).label
        for entry in found.numbers["review"] if entry["row"] in guilty
    )  # fmt: skip
    assert right / len(named & guilty) > 0.9


def test_catch_rates_have_a_control(engine, reference):
    rates = measure_catch_rates(engine, reference, range(1), 200)
    by_name = {(rate.poison, rate.check): rate for rate in rates}
    assert all(rate.caught == 0 for (name, _check), rate in by_name.items() if name == "sound")
    assert by_name["routings shuffled", "signal"].unusable == 1
    assert by_name["20 % of the labels flipped", "labels"].recall > 0.8
    assert by_name["50 % near-duplicates", "duplicates"].recall > 0.9


def test_noise_in_the_authors_format_is_unusable(engine, tmp_path):
    """As the published file is: routings that are normalised uniform noise."""
    caught = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        uniform = rng.random((150, 6))
        objects = [
            {"id": n, "question": f"What is the {('red', 'blue', 'grey')[n % 3]} thing {n}?",
             "image_path": "x.png", "model_answer": "a", "ground_truth": "a", "is_correct": True,
             "weights": dict(zip(MOAI.experts, [*(row[:3] / row[:3].sum()).tolist(),
                                                *(row[3:] / row[3:].sum()).tolist()],
                                 strict=True))}
            for n, row in enumerate(uniform)
        ]  # fmt: skip
        path = tmp_path / f"{seed}.json"
        path.write_text(json.dumps(objects))
        library = Library(tmp_path / "reference", tmp_path / "nowhere")
        made = import_routings(path, library, f"noise{seed}", SmallEmbedder())
        found = check_reference(engine, ReferenceSet.load(made.version.root))
        assert found.finding("usefulness").verdict == "not_assessed"
        caught += found.verdict == "unusable"
    assert caught == 5


def test_leaking_samples_are_named(engine, reference, tmp_path):
    rows = rows_of(SIZE)[:30] + rows_of(30, 8)
    suite = load_suite(write_folder(tmp_path / "leaky", rows))
    found = check_reference(engine, reference, [suite], limit=400).finding("leakage")
    assert found.figure == pytest.approx(0.5)
    assert found.verdict == "weak"
    assert set(found.samples) == {row.id for row in rows[:30]}


def test_questions_of_another_world_are_out_of_reach(engine, reference, tmp_path):
    rows = rows_of(40, 5, families=("purple",))
    suite = load_suite(write_folder(tmp_path / "far", rows))
    found = check_reference(engine, reference, [suite], limit=100).finding("coverage")
    assert found.verdict == "unusable"
    assert found.numbers["suites"]["far"]["holes"]["purple"] > 0.5
    orders = {entry["order"] for entry in found.numbers["label_next"]}
    assert orders == {"farthest_first", "expected_repair"}


def with_wrong_routings(reference: ReferenceSet) -> tuple[ReferenceSet, np.ndarray]:
    """Return the set with the routings of a third of its samples turned to other experts."""
    routing = np.array(reference.routing_for("refined"))
    bad = np.random.default_rng(0).choice(SIZE, SIZE // 3, replace=False)
    routing[bad] = routing[bad][:, [1, 2, 3, 0]]
    columns = {"refined_routing": floats(routing)}
    return reference.variant(np.arange(SIZE), about="turned", columns=columns), bad


def test_influence_agrees_with_leaving_out(engine, reference, prepared):
    """Against the plain way, one question and one neighbour at a time."""
    spoilt, _bad = with_wrong_routings(reference)
    bench = bench_of(engine, spoilt)
    found = measure_influence(bench, [prepared])
    assert found.breaks.sum() > 0 < found.repairs.sum()
    repairs, breaks = np.zeros(SIZE, int), np.zeros(SIZE, int)
    features = prepared.prepared.image_features.numpy()
    near = bench.index.retrieve(prepared.embeddings, features, bench.retrieval).neighbours
    for place in range(len(prepared)):
        weight, routing = near.weight[place].numpy(), near.routing[place].numpy()
        one = prepared.rows(slice(place, place + 1))

        def is_right(mix: np.ndarray, one=one, place=place) -> bool:
            said = engine.model.answer(one, torch.tensor(mix[None], dtype=torch.float32))
            return int(said.argmax()) == int(prepared.labels[place])

        right = is_right(weight @ routing)
        for number, row in enumerate(near.index[place].tolist()):
            rest = np.delete(weight, number)
            without = is_right(rest / rest.sum() @ np.delete(routing, number, 0))
            repairs[row] += right and not without
            breaks[row] += without and not right
    assert np.array_equal(found.repairs, repairs)
    assert np.array_equal(found.breaks, breaks)


# --- small sets, other labels, refreshes ------------------------------------------------------


def test_a_small_set_keeps_most_of_the_gain(engine, reference, prepared):
    found = condense(bench_of(engine, reference), [prepared], [4, 12, 40, 10_000])
    assert [point.size for point in found.points] == [4, 12, 40]
    assert found.whole_accuracy > found.router_accuracy
    assert found.points[-1].accuracy >= found.whole_accuracy - 0.1
    assert found.smallest(0.0) == 4
    # One of each family comes first.
    assert len(set(reference.families[found.order[:4]])) == 4
    assert condense_curve(found).data


def test_samples_are_dropped_and_relabelled(engine, reference, library):
    before = ReferenceSet.load(library.find("mine"))
    wrong = "a" if before.sample(1).label != "a" else "b"
    first, second = before.sample(0).id, before.sample(1).id
    made = amend(library, before, engine.model, "mine", drop=[first], relabel={second: wrong})
    after = ReferenceSet.load(made.root)
    assert len(after) == SIZE - 1
    assert after.sample(0).id == second
    assert after.sample(0).label == wrong
    assert after.manifest.answers[after.labels[0]] == wrong
    assert after.sample(0).is_correct == (after.sample(0).model_answer == wrong)
    assert not np.array_equal(after.routing_for("refined")[0], before.routing_for("refined")[1])
    assert np.array_equal(after.routing_for("refined")[1:], before.routing_for("refined")[2:])
    assert library.history("mine") == (before.manifest.content_hash, after.manifest.content_hash)
    assert len(ReferenceSet.load(before.root)) == SIZE
    with pytest.raises(ParameterError, match="no sample called nobody"):
        amend(library, before, engine.model, "mine", drop=["nobody"])
    with pytest.raises(ParameterError, match="“moon” is not an answer"):
        amend(library, before, engine.model, "mine", relabel={second: "moon"})


def narrow_library(tmp_path, reference) -> Library:
    """Return a library whose set `mine` knows two families alone."""
    library = Library(tmp_path / "reference", reference.root)
    rows = np.flatnonzero(np.isin(reference.families, ("red", "green")))[:60]
    subset(reference, rows, tmp_path / "narrow", {"name": "mine"})
    library.add(tmp_path / "narrow", "mine", "build")
    return library


def test_what_helps_is_promoted_with_its_evidence(engine, reference, prepared, tmp_path):
    library = narrow_library(tmp_path, reference)
    before = library.history("mine")[-1]
    candidates = small_set(tmp_path / "new", rows_of(80, 21), "new")
    outcome = refresh(engine, library, "mine", candidates, [prepared], policy="if_better")
    assert outcome.promoted
    assert outcome.is_better
    assert not outcome.harms
    (comparison,) = outcome.comparisons
    assert comparison.after > comparison.before
    after = outcome.staging.manifest.content_hash
    assert library.history("mine") == (before, after)
    event = next(entry for entry in library.events() if entry["event"] == "promote")
    assert event["evidence"]["comparisons"][0]["better"] == comparison.better
    # The version in force is a part of the new one; one step leads back.
    assert library.roll_back("mine") == before


def test_what_does_not_help_is_refused(engine, reference, prepared, library, tmp_path):
    candidates = small_set(tmp_path / "new", rows_of(20, 22), "new")
    before = library.history("mine")
    outcome = refresh(engine, library, "mine", candidates, [prepared], policy="if_better")
    assert not outcome.promoted
    assert library.history("mine") == before
    assert library.events()[-1]["event"] == "refused"
    assert promote(library, "mine") == outcome.staging.manifest.content_hash
    with pytest.raises(ReferenceSetError, match="Nothing is staged"):
        promote(library, "mine")


@pytest.mark.parametrize("policy", ["never", "ask"])
def test_nothing_is_promoted_that_nobody_may_promote(engine, reference, prepared, tmp_path, policy):
    library = narrow_library(tmp_path, reference)
    candidates = small_set(tmp_path / "new", rows_of(80, 21), "new")
    outcome = refresh(engine, library, "mine", candidates, [prepared], policy=policy)
    assert outcome.is_better
    assert not outcome.promoted
    assert library.events()[-1]["event"] == "staged"
    with pytest.raises(ParameterError, match="policy called always"):
        refresh(engine, library, "mine", candidates, [prepared], policy="always")


def test_candidates_are_screened(engine, reference, prepared, library, tmp_path):
    known, asked, fresh = rows_of(SIZE)[:10], rows_of(60, 7)[:10], rows_of(40, 23)
    sound = small_set(tmp_path / "sound", [*known, *asked, *fresh], "sound")
    spoilt = labels_flipped(0.2)(small_set(tmp_path / "fresh", fresh, "fresh"), engine.model, 0)
    outcome = refresh(engine, library, "mine", sound, [prepared])
    assert set(outcome.screening.duplicates) == {row.id for row in known}
    assert set(outcome.screening.leaking) == {row.id for row in asked}
    assert outcome.screening.suspicious == ()
    assert outcome.screening.kept == len(fresh)
    wrong = {spoilt.reference.sample(int(row)).id for row in spoilt.rows}
    subset(spoilt.reference, np.arange(len(fresh)), tmp_path / "spoilt", {"name": "spoilt"},
           _labels_of(spoilt.reference))  # fmt: skip
    outcome = refresh(engine, library, "mine", ReferenceSet.load(tmp_path / "spoilt"), [prepared])
    assert len(wrong & set(outcome.screening.suspicious)) / len(wrong) > 0.8


def _labels_of(reference: ReferenceSet):
    import pyarrow as pa

    return {"label": pa.array([reference.manifest.answers[n] for n in reference.labels])}


def test_what_harms_is_retired(engine, reference, tmp_path, suite):
    """The part with wrong routings goes, as other questions than the judge's confirm."""
    spoilt, bad = with_wrong_routings(reference)
    library = Library(tmp_path / "reference", reference.root)
    subset(spoilt, np.arange(SIZE), tmp_path / "bad", {"name": "mine"})
    library.add(tmp_path / "bad", "mine", "build")
    judge = prepare_suite(
        engine, load_suite(write_folder(tmp_path / "judge", rows_of(150, 31))), None, 0
    )
    held = prepare_suite(engine, suite, None, 0)
    outcome = refresh(engine, library, "mine", None, [held], retire_on=[judge])
    guilty = {reference.sample(int(row)).id for row in bad}
    assert len(outcome.retired) > 5
    assert len(set(outcome.retired) & guilty) / len(outcome.retired) > 0.9
    assert outcome.comparisons[-1].after >= outcome.comparisons[-1].before
    with pytest.raises(ReferenceSetError, match="Nothing would change"):
        refresh(engine, library, "mine", None, [held])
