"""A bundle proves itself without the program; whatever is changed in it is found."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from r2t2_core.audit.bundle import export
from r2t2_core.audit.erasure import erase, plan_erasure
from r2t2_core.audit.keys import SigningKey, key_path, public_path
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.verify_bundle import main as check_main
from r2t2_core.settings import Settings
from tests.audit.decisions import digest, make_decision

NASTY = "<img src=x onerror=alert(1)>'\"><script>alert(2)</script>"


@pytest.fixture
def bundle(tmp_path, who) -> bytes:
    """A bundle of a decision with a nasty question, from the middle of a log."""
    settings = Settings(data_dir=tmp_path / "data", anchor_dir=tmp_path / "away", anchor_every=2)
    recorder = Recorder(settings)
    for number in range(4):
        picture = f"picture {number}".encode()
        decision = make_decision(picture=picture, question=NASTY if number == 1 else "Other?")
        recorder.record_decision(decision, picture, principal=who)
    recorder.sign_off("2", "approved", NASTY, principal=who)
    return export(recorder, ["2"], who)


def check(path: Path, *options: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["verify_bundle.py", str(path), *options])
    return check_main()


def files(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def test_a_bundle_holds_what_it_says_and_nobody_elses_questions(bundle):
    contents = files(bundle)
    assert "entries/000002.json" in contents
    assert "entries/000005.json" in contents
    assert "entries/000003.json" not in contents
    assert json.loads(contents["entries/000002.question.json"])["text"] == NASTY
    assert f"pictures/{digest('picture 1')}" in contents
    assert b"Other?" not in b"".join(contents.values())
    assert len(json.loads(contents["chain.json"])["payload_hashes"]) == 4


def test_its_checker_runs_alone_from_the_unpacked_folder(bundle, tmp_path):
    """As a stranger does it: another folder, no path to this program."""
    with zipfile.ZipFile(BytesIO(bundle)) as archive:
        archive.extractall(tmp_path / "unpacked")
    pinned = public_path(key_path(Settings(data_dir=tmp_path / "data")))
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LONELY, str(tmp_path / "unpacked"), str(pinned)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "signature valid yes" in result.stdout
    assert "pinned key      yes" in result.stdout
    assert "up to entry 4" in result.stdout


LONELY = f"""
import runpy, sys
sys.path += {[p for p in sys.path if p.endswith("site-packages")]!r}
folder, key = sys.argv[1:]
sys.argv = ["verify_bundle.py", folder, "--public-key", key]
class Only:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("r2t2_core", "torch", "sqlalchemy", "streamlit", "pydantic"):
            raise ImportError(name)
sys.meta_path.insert(0, Only())
runpy.run_path(folder + "/verify_bundle.py", run_name="__main__")
"""


def test_every_file_that_is_changed_is_found(bundle, tmp_path, monkeypatch):
    contents = files(bundle)
    for name in contents:
        forged = {**contents, name: contents[name][:-1] + bytes([contents[name][-1] ^ 1])}
        if name == "manifest.sig":
            forged[name] = b"0" + contents[name][1:] if contents[name][:1] != b"0" else b"1"
        assert check(write(tmp_path / "x.zip", forged), monkeypatch=monkeypatch) == 1, name
        less = {key: data for key, data in contents.items() if key != name}
        assert check(write(tmp_path / "x.zip", less), monkeypatch=monkeypatch) == 1, name
    more = {**contents, "entries/000009.json": b"{}"}
    assert check(write(tmp_path / "x.zip", more), monkeypatch=monkeypatch) == 1
    assert check(write(tmp_path / "x.zip", contents), monkeypatch=monkeypatch) == 0


def test_another_key_is_found_by_whoever_pinned_the_right_one(bundle, tmp_path, monkeypatch):
    path = write(tmp_path / "x.zip", files(bundle))
    SigningKey.load_or_create(tmp_path / "other.pem")
    other = str(public_path(tmp_path / "other.pem"))
    assert check(path, "--public-key", other, monkeypatch=monkeypatch) == 1


def test_a_page_without_a_single_tag_of_a_person(bundle):
    page = files(bundle)["index.html"].decode()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "default-src 'none'" in page


def test_what_was_erased_is_not_in_the_bundle(record, recorder, who):
    decision = record(question="Very secret?")
    erase(recorder, plan_erasure(recorder, ["1"], "both", who), "why", who)
    contents = files(export(recorder, [decision.id], who))
    assert b"Very secret" not in b"".join(contents.values())
    assert not [name for name in contents if name.startswith("pictures/")]
    assert "erased" in contents["index.html"].decode()


def test_neighbours_pictures_come_by_their_hash_alone(recorder, who, tmp_path, monkeypatch):
    root = tmp_path / "reference"
    (root / "images").mkdir(parents=True)
    (root / "images" / "n1.jpg").write_bytes(b"neighbour")
    decision = make_decision()
    monkeypatch.setattr(
        "r2t2_core.audit.recorder.hash_neighbours", lambda *_: {"n1": digest("neighbour")}
    )
    recorder.record_decision(decision, b"bytes of a picture", principal=who)
    with_it = files(export(recorder, ["1"], who, root))
    assert with_it[f"neighbours/{digest('neighbour')}"] == b"neighbour"
    (root / "images" / "n1.jpg").write_bytes(b"another version")
    without = files(export(recorder, ["1"], who, root))
    assert not [name for name in without if name.startswith("neighbours/")]
