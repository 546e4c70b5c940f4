"""Erasing keeps the chain whole; retention looks before it leaps."""

from __future__ import annotations

import sqlite3

import pytest

from r2t2_core.audit.entries import CorrectionBody
from r2t2_core.audit.erasure import erase, finish, plan_erasure, plan_retention, retain
from r2t2_core.audit.log import Draft
from r2t2_core.audit.restoring import decision_of
from r2t2_core.audit.verification import verify
from r2t2_core.errors import AuditError


def test_an_erased_question_and_picture_leave_the_chain_whole(record, recorder, who, settings):
    decision = record(question="My secret question?")
    record(picture=b"another")
    plan = plan_erasure(recorder, ["1"], "both", who)
    assert (len(plan.pictures), plan.texts) == (1, (1,))
    recorded = erase(recorder, plan, "asked by letter", who)
    assert recorded.sequence == 3
    stored = recorder.log.find("1")
    assert stored.text is None
    assert decision_of(stored).input.question == ""
    assert recorder.pictures.get(decision.input.image_sha256) is None
    report = verify(recorder.log, recorder.pictures)
    assert report.ok
    assert report.erased == 2
    recorder.log.database.close()
    for path in settings.data_dir.glob("audit.db*"):
        assert b"secret" not in path.read_bytes()


def test_a_shared_picture_goes_from_all_and_comes_back_when_asked_again(record, recorder, who):
    record()
    record()
    erase(recorder, plan_erasure(recorder, ["1"], "picture", who), "why", who)
    assert verify(recorder.log, recorder.pictures).ok
    decision = record()
    assert recorder.pictures.get(decision.input.image_sha256) is not None
    finish(recorder.log, recorder.pictures)
    assert recorder.pictures.get(decision.input.image_sha256) is not None
    assert verify(recorder.log, recorder.pictures).ok


def test_an_erasure_that_was_cut_off_is_seen_and_finished(record, recorder, who, monkeypatch):
    record()
    plan = plan_erasure(recorder, ["1"], "both", who)
    monkeypatch.setattr(
        "r2t2_core.audit.erasure.finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        erase(recorder, plan, "why", who)
    report = verify(recorder.log, recorder.pictures)
    assert "was erased, but is there" in str(report.evidence.problems[0].error)
    finish(recorder.log, recorder.pictures)
    assert verify(recorder.log, recorder.pictures).ok


def test_an_erasure_needs_a_reason_and_something_to_erase(record, recorder, who):
    record()
    plan = plan_erasure(recorder, ["1"], "both", who)
    with pytest.raises(AuditError, match="needs a reason"):
        erase(recorder, plan, "  ", who)
    erase(recorder, plan, "why", who)
    with pytest.raises(AuditError, match="nothing to erase"):
        erase(recorder, plan_erasure(recorder, ["1"], "both", who), "why", who)


def test_retention_plans_first_and_spares_what_is_young(record, recorder, who):
    record(picture=b"old", started_at="2020-01-01T00:00:00+00:00")
    record(picture=b"shared", started_at="2020-01-01T00:00:00+00:00")
    record(picture=b"shared", started_at="2999-01-01T00:00:00+00:00")
    plan, cutoff = plan_retention(recorder, 365, who)
    assert recorder.log.count() == 3
    assert len(plan.pictures) == 1
    assert plan.texts == (1, 2)
    retain(recorder, plan, 365, cutoff, who)
    assert recorder.log.find("4").entry.kind == "retention"
    report = verify(recorder.log, recorder.pictures)
    assert report.ok
    plan, _cutoff = plan_retention(recorder, 365, who)
    assert plan.is_empty


def test_judgements_are_entries_and_change_nothing(record, recorder, who, settings):
    decision = record()
    before = recorder.log.find("1").payload
    recorder.sign_off("1", "rejected", "wrong chair", principal=who)
    recorder.override("1", "left", "I looked", principal=who)
    recorder.correct("1", "input.label", "left", "typed wrongly", principal=who)
    assert recorder.log.find("1").payload == before
    kinds = [found.entry.kind for found in recorder.log.about(decision.id)]
    assert kinds == ["sign_off", "override", "correction"]
    correction = recorder.log.find("4").entry.read(CorrectionBody)
    assert correction.value == "left"
    with pytest.raises(AuditError, match="no decision"):
        recorder.override("2", "left", "why", principal=who)
    with pytest.raises(AuditError, match="cannot be recorded"):
        recorder.override("1", "left", "", principal=who)
    with sqlite3.connect(settings.data_dir / "audit.db") as raw:
        assert raw.execute("SELECT count(*) FROM decisions").fetchone() == (4,)


def test_a_picture_name_cannot_lead_out_of_the_folder(recorder):
    for name in ("../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "/x"):
        with pytest.raises(AuditError, match="not a SHA-256"):
            recorder.pictures.get(name)


def test_a_what_if_keeps_its_question_beside_the_chain(recorder):
    recorder.log.append(Draft("what_if", {"changed": "k"}, "ada", "local", text="Secret?"))
    stored = recorder.log.find("1")
    assert "Secret" not in stored.payload
    assert stored.text == "Secret?"
    assert verify(recorder.log).ok
