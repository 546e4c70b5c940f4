"""Suites: a person's own table and pictures, ours, and every bad kind."""

from __future__ import annotations

import json
import zipfile

import pandas as pd
import pytest
from PIL import Image

from r2t2_core.errors import SuiteError
from r2t2_core.evaluation.suites import (
    SuiteManifest,
    SuiteSample,
    load_suite,
    shipped_suites,
    write_suite,
)
from r2t2_core.settings import SAMPLE_DATA


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "mine"
    (root / "pictures").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (40, 40), "white").save(root / "pictures" / f"{name}.png")
    return root


ROWS = [
    {"image": "pictures/a.png", "question": "Where is the chair?", "answer": "left"},
    {"image": "pictures/b.png", "question": "How many cups?", "answer": "2"},
]


def write(root, kind, rows=ROWS):
    frame = pd.DataFrame(rows)
    if kind == "csv":
        frame.to_csv(root / "samples.csv", index=False)
    elif kind == "jsonl":
        frame.to_json(root / "samples.jsonl", orient="records", lines=True)
    else:
        frame.to_parquet(root / "samples.parquet", index=False)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_of_each_kind_is_read(folder, kind):
    write(folder, kind)
    suite = load_suite(folder)
    assert suite.name == "mine"
    assert [(s.question, s.answer) for s in suite.samples] == [
        ("Where is the chair?", "left"),
        ("How many cups?", "2"),
    ]
    assert len({sample.id for sample in suite.samples}) == 2
    assert suite.bad_rows == ()


def test_a_zip_is_unpacked(folder, tmp_path):
    write(folder, "csv")
    packed = tmp_path / "mine.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    suite = load_suite(packed, tmp_path / "unpacked")
    assert len(suite) == 2
    assert suite.content_hash == load_suite(folder).content_hash


def test_bad_rows_are_kept_with_their_reason_and_stop_nothing(folder):
    outside = {"image": "../secret.png", "question": "What?", "answer": "x"}
    missing = {"image": "pictures/none.png", "question": "What?", "answer": "x"}
    empty = {"image": "pictures/a.png", "question": "", "answer": "x"}
    write(folder, "csv", [ROWS[0], outside, missing, empty, ROWS[1]])
    suite = load_suite(folder)
    assert len(suite) == 2
    assert [row.line for row in suite.bad_rows] == [2, 3, 4]
    reasons = [str(row.error) for row in suite.bad_rows]
    assert "outside the suite's folder" in reasons[0]
    assert "no picture pictures/none.png" in reasons[1]
    assert "question is empty" in reasons[2]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"picture": "a.png", "question": "q", "answer": "a"}], "no column image"),
        ([{"image": "none.png", "question": "q", "answer": "a"}], "no picture none.png"),
    ],
)
def test_a_suite_without_a_usable_row_is_refused(folder, rows, words):
    write(folder, "csv", rows)
    with pytest.raises(SuiteError, match=words) as caught:
        load_suite(folder)
    assert "samples.csv" in caught.value.remedy


def test_what_is_no_suite_is_refused(tmp_path):
    with pytest.raises(SuiteError, match="no table of samples"):
        load_suite(tmp_path)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK but no zip")
    with pytest.raises(SuiteError, match="cannot be unpacked"):
        load_suite(broken, tmp_path / "unpacked")
    (tmp_path / "samples.parquet").write_bytes(b"nonsense")
    with pytest.raises(SuiteError, match="cannot be read"):
        load_suite(tmp_path)


def test_a_written_suite_comes_back_and_a_changed_one_is_noticed(folder):
    samples = [
        SuiteSample("x-1", folder / "pictures" / "a.png", "Where?", "left", "where", "plain", "en")
    ]
    manifest = SuiteManifest(
        name="ours", title="Ours", description="", size=0, source="", licence="", file_hashes={}
    )
    write_suite(folder, manifest, samples)
    suite = load_suite(folder)
    assert (suite.name, suite.title) == ("ours", "Ours")
    assert suite.samples[0].family == "where"
    Image.new("RGB", (40, 40), "black").save(folder / "pictures" / "a.png")
    with pytest.raises(SuiteError, match="was changed"):
        load_suite(folder)


def test_the_shipped_suites_are_whole_and_large_enough():
    suites = {name: load_suite(path) for name, path in
              shipped_suites(SAMPLE_DATA / "suites").items()}  # fmt: skip
    assert len(suites) == 8
    for name, suite in suites.items():
        assert len(suite) >= 1000, name
        assert suite.bad_rows == ()
        manifest = json.loads((SAMPLE_DATA / "suites" / name / "manifest.json").read_text())
        assert manifest["size"] == len(suite)
