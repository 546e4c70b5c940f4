"""Roles: off for one person on one machine; on, they are checked in the service itself."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from r2t2_core.audit.access import LOCAL, ROLES, Principal
from r2t2_core.audit.bundle import export
from r2t2_core.audit.erasure import plan_erasure, plan_retention
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.search import Filter, choices, search
from r2t2_core.errors import AccessError
from r2t2_core.settings import Settings
from tests.audit.decisions import PICTURE, make_decision


@pytest.fixture
def guarded(tmp_path) -> Recorder:
    return Recorder(Settings(data_dir=tmp_path / "data", auth="tokens"))


@pytest.fixture
def people(guarded) -> dict[str, Principal]:
    """One of each role."""
    access = guarded.access
    admin = access.identify(access.add_token(None, "root", "admin"))
    others = {
        role: access.identify(access.add_token(admin, f"a {role}", role))
        for role in ROLES
        if role != "admin"
    }
    return {"admin": admin, **others}


def test_off_everybody_is_local_and_may_everything(recorder):
    who = recorder.access.caller()
    assert who.role == LOCAL
    recorder.access.require(who, "manage")


def test_on_nobody_enters_without_a_token(guarded, people):
    for token in (None, "", "wrong"):
        with pytest.raises(AccessError):
            guarded.access.identify(token)
    with pytest.raises(AccessError):
        guarded.access.caller()


def test_a_made_up_principal_is_refused(guarded, people):
    forged = (
        Principal("root", "admin", ""),
        Principal("root", LOCAL, ""),
        replace(people["viewer"], role="admin"),
        replace(people["viewer"], token_hash="0" * 64),
    )
    for principal in forged:
        with pytest.raises(AccessError):
            guarded.record_decision(make_decision(), PICTURE, principal=principal)
    assert guarded.log.find("1").entry.kind == "access"


def test_a_token_is_kept_as_a_hash(guarded, tmp_path):
    token = guarded.access.add_token(None, "root", "admin")
    guarded.log.database.close()
    for path in (tmp_path / "data").glob("audit.db*"):
        assert token.encode() not in path.read_bytes()


def test_a_revoked_token_stops_at_once(guarded, people):
    guarded.record_decision(make_decision(), PICTURE, principal=people["viewer"])
    guarded.access.revoke(people["admin"], "a viewer")
    with pytest.raises(AccessError, match="revoked"):
        guarded.record_decision(make_decision(), PICTURE, principal=people["viewer"])


def test_only_the_first_administrator_comes_without_another(guarded):
    with pytest.raises(AccessError):
        guarded.access.add_token(None, "ada", "viewer")
    guarded.access.add_token(None, "root", "admin")
    with pytest.raises(AccessError):
        guarded.access.add_token(None, "mallory", "admin")


DOORS = {
    "answer": lambda r, who: r.record_decision(make_decision(), PICTURE, principal=who),
    "read": lambda r, who: search(r, Filter(), who),
    "read too": lambda r, who: (r.find("1", who), choices(r, who)),
    "export": lambda r, who: export(r, ["1"], who),
    "sign_off": lambda r, who: r.sign_off("1", "approved", "", principal=who),
    "override": lambda r, who: r.override("1", "left", "why", principal=who),
    "correct": lambda r, who: r.correct("1", "a", "b", "why", principal=who),
    "erase": lambda r, who: plan_erasure(r, ["1"], "both", who),
    "erase too": lambda r, who: plan_retention(r, 1, who),
    "manage": lambda r, who: r.access.add_token(who, f"by {who.name}", "viewer"),
    "evaluate": lambda r, who: r.record("alert", {}, principal=who, permission="evaluate"),
}


@pytest.fixture
def ready(guarded, people) -> Recorder:
    """A guarded log whose first entry is a decision, for the doors that want one."""
    recorder = guarded
    decision = make_decision()
    recorder.record_decision(decision, PICTURE, principal=people["viewer"])
    real = recorder.log.find
    recorder.log.find = lambda name: real(decision.id if name == "1" else name)  # type: ignore[method-assign]
    return recorder


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("role", list(ROLES))
def test_every_door_asks_the_role(ready, people, door, role):
    is_open = door.split()[0] in ROLES[role]
    if is_open:
        DOORS[door](ready, people[role])
    else:
        with pytest.raises(AccessError):
            DOORS[door](ready, people[role])


def test_engineers_do_not_sign_off_and_auditors_do_not_erase():
    assert "sign_off" not in ROLES["engineer"]
    assert "erase" not in ROLES["auditor"]
    assert ROLES["viewer"] < ROLES["engineer"] < ROLES["admin"]


def test_tokens_are_logged_with_who_made_them(guarded, people, tmp_path):
    with sqlite3.connect(tmp_path / "data" / "audit.db") as raw:
        rows = raw.execute("SELECT actor, kind FROM facets ORDER BY sequence").fetchall()
    assert rows[1] == ("root", "access")
    assert {kind for _actor, kind in rows} == {"access"}
