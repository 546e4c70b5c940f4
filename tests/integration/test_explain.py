"""Causes of real decisions: they belong to the record, agree with it, and are told in its words."""

from __future__ import annotations

import json

import pytest

from r2t2_core.analysis import Analysis, WhatIf
from r2t2_core.errors import ExplanationError, NeighbourhoodError
from r2t2_core.explain.analyse import analyse, with_occlusion
from r2t2_core.explain.evidence import parameters_of, reopen, retrieval_of
from r2t2_core.explain.paragraph import claims, paragraph
from r2t2_core.explain.store import ExplanationStore
from r2t2_core.explain.what_if import Change, try_change
from r2t2_core.i18n import set_language


@pytest.fixture(scope="module")
def explained(engine, cases, gallery_dir):
    """A case that re-routing repairs: picture, decision, causes with occlusion maps."""
    case = next(case for case in cases if case.outcome == "repaired")
    picture = (gallery_dir / case.image).read_bytes()
    decision = engine.answer(picture, case.question, label=case.label)
    analysis = with_occlusion(engine, decision, picture, analyse(engine, decision, picture))
    return picture, decision, analysis


def test_the_analysis_is_of_this_decision_and_survives_a_round_trip(explained, engine):
    _picture, decision, analysis = explained
    assert analysis.belongs_to(decision)
    other = decision.model_copy(update={"id": "0" * 32})
    assert not analysis.belongs_to(other)
    assert Analysis.from_json(analysis.canonical_json()) == analysis
    last = decision.trajectory(decision.strategy).last
    assert analysis.moved.answer == last.answer
    assert [cause.id for cause in analysis.neighbours] == [n.id for n in decision.neighbours]
    assert [cause.expert for cause in analysis.experts] == list(engine.model.routing_spec.experts)


def test_every_strategy_can_be_the_one_that_counts(engine, cases, gallery_dir):
    picture = (gallery_dir / cases[0].image).read_bytes()
    for strategy in ("ngd", "mode_finding", "uniform"):
        decision = engine.answer(picture, cases[0].question, strategy=strategy)
        analysis = analyse(engine, decision, picture)
        assert analysis.strategy == strategy
        assert paragraph(decision, analysis, {})


def test_a_counterfactual_is_asked_of_the_model_itself(explained, engine):
    picture, decision, analysis = explained
    assert analysis.counterfactuals
    with engine.exclusive():
        evidence = reopen(engine, decision, picture)
    for flip in analysis.counterfactuals:
        like = evidence.query.prepared.routing
        said = evidence.answers(like.new_tensor([flip.routing]))[0]
        answer = engine.model.answers[int(said.argmax())]
        kept = decision.base.answer if flip.origin == "before" else analysis.moved.answer
        assert answer == flip.result.answer != kept
        if flip.wanted == "the strategy's answer":
            assert answer == analysis.moved.answer


def test_the_language_expert_does_not_look_and_others_do(explained):
    _picture, _decision, analysis = explained
    maps = {entry.expert: entry for entry in analysis.occlusion.maps if entry.about == "expert"}
    assert maps["language"].total == 0
    assert max(entry.total for entry in maps.values()) > 0.01
    for entry in analysis.occlusion.maps:
        assert len(entry.effect) == analysis.occlusion.grid == len(entry.effect[0])


def test_another_picture_model_or_reference_set_is_refused(explained, engine, gallery_dir, cases):
    picture, decision, _analysis = explained
    other = next(
        data for case in cases if (data := (gallery_dir / case.image).read_bytes()) != picture
    )
    with pytest.raises(ExplanationError, match="picture"):
        analyse(engine, decision, other)
    system = decision.system.model_copy(update={"model_fingerprint_after": "0"})
    with pytest.raises(ExplanationError, match="another model"):
        analyse(engine, decision.model_copy(update={"system": system}), picture)
    reference = decision.reference.model_copy(update={"content_hash": "0"})
    with pytest.raises(ExplanationError, match="another reference set"):
        analyse(engine, decision.model_copy(update={"reference": reference}), picture)


def change_of(decision, **changes):
    strategy = decision.strategy
    given = {
        "strategy": strategy,
        "params": parameters_of(decision, strategy),
        "retrieval": retrieval_of(decision),
    }
    return Change(**{**given, **changes})


def test_a_what_if_that_changes_nothing_gives_the_strategys_answer(explained, engine):
    picture, decision, analysis = explained
    with engine.exclusive():
        query = reopen(engine, decision, picture).query
    same = try_change(engine, decision, analysis, query, change_of(decision))
    last = decision.trajectory(decision.strategy).last
    assert same.result.answer == last.answer
    assert same.routing == pytest.approx(last.routing, abs=1e-5)
    assert same.surrogate_loss == pytest.approx(last.surrogate_loss, abs=1e-5)
    assert same.kind == "human intervention"
    assert WhatIf.from_json(same.canonical_json()) == same


def test_a_what_if_by_hand_drops_neighbours_and_sets_weights(explained, engine):
    picture, decision, analysis = explained
    with engine.exclusive():
        query = reopen(engine, decision, picture).query
    for place, cause in enumerate(analysis.experts):
        weights = tuple(float(number == place) for number in range(len(analysis.experts)))
        alone = try_change(engine, decision, analysis, query, change_of(decision, weights=weights))
        assert alone.result.answer == cause.alone.answer
        assert alone.changes_answer == (alone.result.answer != decision.final.answer)
    first = analysis.neighbours[0]
    fewer = try_change(
        engine, decision, analysis, query, change_of(decision, dropped=frozenset({first.id}))
    )
    assert fewer.intervention.dropped == (first.id,)
    assert first.id not in fewer.neighbours
    assert fewer.result.answer == first.without.answer
    assert fewer.routing == pytest.approx(first.routing_without, abs=1e-5)
    everybody = frozenset(cause.id for cause in analysis.neighbours)
    with pytest.raises(NeighbourhoodError, match="No neighbour is left"):
        try_change(engine, decision, analysis, query, change_of(decision, dropped=everybody))


def numbers(value) -> set:
    """All numbers and words of a record."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(numbers, value)) if value else set()
    return {value}


def test_every_claim_is_a_number_of_the_record(engine, cases, gallery_dir):
    chosen = [next(c for c in cases if c.outcome == outcome)
              for outcome in {case.outcome for case in cases}]  # fmt: skip
    for case in chosen:
        picture = (gallery_dir / case.image).read_bytes()
        decision = engine.answer(picture, case.question, label=case.label)
        analysis = analyse(engine, decision, picture)
        known = numbers(json.loads(decision.canonical_json()))
        known |= numbers(json.loads(analysis.canonical_json()))
        others = [v for v in analysis.agreement.strategies if v.strategy != analysis.strategy]
        real = [v for v in others if not v.is_control]
        controls = [v for v in others if v.strategy in ("random_neighbours", "uniform")]
        counted = {
            len(real), sum(v.agrees for v in real), len(controls), sum(v.agrees for v in controls),
            len(analysis.neighbours), sum(cause.decides for cause in analysis.neighbours),
        }  # fmt: skip
        for claim in claims(decision, analysis):
            for name, value in claim.values.items():
                assert value in (counted if name in ("count", "all", "agree") else known) | (
                    {analysis.dropped_until_flip} if name == "count" else set()
                ), (claim.message, name, value)


def test_the_paragraph_is_in_the_language_of_the_reader(explained):
    _picture, decision, analysis = explained
    english = paragraph(decision, analysis, {})
    assert f"“{decision.base.answer}”" in english
    assert f"{decision.base.probability:.0%}" in english
    set_language("ja")
    japanese = paragraph(decision, analysis, {})
    assert japanese != english
    assert "The router gave" not in japanese
    assert "{" not in japanese


def test_what_is_kept_comes_back_and_nothing_else_does(explained, engine, tmp_path):
    picture, decision, analysis = explained
    store = ExplanationStore(tmp_path / "kept")
    with pytest.raises(ExplanationError, match="No decision"):
        store.decision(decision.id)
    with pytest.raises(ExplanationError, match="No decision"):
        store.keep_analysis(analysis)
    store.keep(decision, picture)
    store.keep_analysis(analysis)
    assert store.decision(decision.id) == (decision, picture)
    assert store.analysis(decision) == analysis
    with engine.exclusive():
        query = reopen(engine, decision, picture).query
    tried = try_change(engine, decision, analysis, query, change_of(decision), "a note")
    store.keep_what_if(tried)
    assert store.what_ifs(decision.id) == (tried,)
    for name in ("../../etc/passwd", "", "A" * 32, decision.id + "/"):
        with pytest.raises(ExplanationError, match="identifier"):
            store.decision(name)
    with pytest.raises(ExplanationError, match="picture"):
        store.keep(decision, b"another")
    (tmp_path / "kept" / decision.id / "picture").write_bytes(b"changed")
    with pytest.raises(ExplanationError, match="cannot be read"):
        store.decision(decision.id)
