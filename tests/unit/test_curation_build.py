"""Building and importing reference sets: resumable, cancellable, nothing lost, nothing silent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from r2t2_core.curation import build as building
from r2t2_core.curation.build import Wanted, build
from r2t2_core.curation.routing_json import MOAI, export_routings, import_routings
from r2t2_core.curation.routing_only import reroute_by_routings
from r2t2_core.curation.sources import open_source
from r2t2_core.errors import Cancelled, ParameterError, ReferenceSetError, SuiteError
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.layers import open_reference
from r2t2_core.reference.library import Library
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.registry import get_strategy, parse_params
from tests.unit.curation_world import (
    ANSWERS,
    SPEC,
    SmallEmbedder,
    SmallModel,
    rows_of,
    write_folder,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from r2t2_core.curation import build as building
from r2t2_core.curation.sources import open_source
from r2t2_core.reference.library import Library
from tests.unit.curation_world import SmallEmbedder, SmallModel

def die_on_the_third(done, total):
    if done >= 2 * building.BATCH:
        os.kill(os.getpid(), signal.SIGKILL)

library = Library(Path(sys.argv[2]), Path("nowhere"))
source = open_source(sys.argv[1], library, Path(sys.argv[2]) / "unpacked")
building.build(SmallModel(), SmallEmbedder(), source, library, building.Wanted("mine"),
               progress=die_on_the_third)
"""


@pytest.fixture
def library(tmp_path) -> Library:
    return Library(tmp_path / "reference", tmp_path / "nowhere")


@pytest.fixture
def batches(monkeypatch):
    """Small batches, and a count of those that are computed."""
    monkeypatch.setattr(building, "BATCH", 8)
    computed = []
    real = building._compute

    def counted(*given):
        computed.append(len(given[2]))
        return real(*given)

    monkeypatch.setattr(building, "_compute", counted)
    return computed


def built(library: Library, folder: Path, wanted: Wanted | None = None, **options):
    source = open_source(str(folder), library, library.root / "unpacked")
    return build(
        SmallModel(), SmallEmbedder(), source, library, wanted or Wanted("mine"), **options
    )


def test_a_folder_becomes_a_version(library, tmp_path):
    rows = rows_of(20)
    made = built(library, write_folder(tmp_path / "own", rows), Wanted("mine", licence="CC0"))
    reference = ReferenceSet.load(
        library.find("mine"), model_fingerprint="f" * 64, embedder_hash="e" * 64,
        routing_spec=SPEC, verify=True,
    )  # fmt: skip
    assert (made.rows, made.kept, made.bad_rows) == (20, 20, ())
    assert [reference.sample(row).question for row in range(20)] == [row.question for row in rows]
    sample = reference.sample(3)
    assert (sample.label, sample.licence, sample.source) == (rows[3].answer, "CC0", "own s0-0003")
    manifest = reference.manifest
    assert (manifest.policy, manifest.size, manifest.routing_spec) == ("refined", 20, SPEC)
    # Its numbers are the model's own on the stored pictures.
    from PIL import Image

    from r2t2_core.types import Sample

    again = [Sample(Image.open(reference.image_path(row)), reference.sample(row).question)
             for row in range(20)]  # fmt: skip
    prepared = SmallModel().prepare(again)
    assert np.array_equal(prepared.routing.numpy(), reference.router_routing)
    assert torch.equal(prepared.expert_outputs, reference.outputs_of(torch.arange(20)))


@pytest.mark.parametrize(("policy", "kept"), [("correct_only", None), ("all_labelled", 30)])
def test_policies_keep_what_they_say(library, tmp_path, policy, kept):
    made = built(library, write_folder(tmp_path / "own", rows_of(30)), Wanted("mine", policy))
    reference = ReferenceSet.load(made.version.root)
    right = reference.eligible("correct_only")
    assert len(reference) == (kept or right.sum())
    assert right.all() == (policy == "correct_only")
    assert np.array_equal(reference.routing_for("refined"), reference.router_routing)


def test_bad_rows_stop_nothing_and_are_named(library, tmp_path):
    folder = write_folder(tmp_path / "own", rows_of(10))
    table = folder / "samples.csv"
    extra = "b1,missing.png,What?,a,\nb2,s0-0000.png,,a,\nb3,s0-0001.png,What is it?,moon,\n"
    extra += "b4,../../etc/passwd,What?,a,\n"
    table.write_text(table.read_text() + extra + "b5,broken.png,What is it?,a,\n")
    (folder / "broken.png").write_bytes(b"no picture")
    made = built(library, folder)
    assert (made.rows, made.kept) == (15, 10)
    reasons = {entry["row"]: entry["reason"] for entry in made.bad_rows}
    assert len(reasons) == 5
    text = " ".join(reasons.values())
    for words in ("no picture missing.png", "question is empty", "“moon” is not an answer",
                  "outside the suite"):  # fmt: skip
        assert words in text
    stored = json.loads((made.version.root / "bad_rows.json").read_text())
    assert stored == [dict(entry) for entry in made.bad_rows]


def test_nothing_usable_is_said(library, tmp_path):
    folder = write_folder(tmp_path / "own", rows_of(3))
    table = folder / "samples.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], "x,s0-0000.png,What is it?,moon,"]) + "\n")
    with pytest.raises(ReferenceSetError, match=r"No row can be used: “moon” is not an answer"):
        built(library, folder)


def test_a_cancelled_build_goes_on_where_it_stopped(library, tmp_path, batches):
    folder = write_folder(tmp_path / "own", rows_of(30))
    with pytest.raises(Cancelled):
        built(library, folder, cancelled=lambda: len(batches) >= 2)
    assert batches == [8, 8]
    seen = []
    made = built(library, folder, progress=lambda done, total: seen.append((done, total)))
    assert batches == [8, 8, 8, 6]
    assert seen == [(0, 30), (8, 30), (16, 30), (24, 30), (30, 30)]
    other = Library(tmp_path / "other", tmp_path / "nowhere")
    whole = built(other, folder)
    assert whole.version.manifest.content_hash == made.version.manifest.content_hash
    assert not list((library.root / "work").iterdir())


def test_a_killed_build_leaves_nothing_half_done(tmp_path):
    folder = write_folder(tmp_path / "own", rows_of(200))
    home = tmp_path / "reference"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(home)], check=False, timeout=900,
        env=environment, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    library = Library(home, tmp_path / "nowhere")
    assert library.versions() == []
    parts = list(home.glob("work/*/parts/*.parquet"))
    assert len(parts) == 2
    # A batch that was being written when the kill came.
    (parts[0].parent / "000002.parquet.tmp").write_bytes(b"half")
    calls = []
    real = building._compute
    try:
        building._compute = lambda *given: calls.append(1) or real(*given)
        made = built(library, folder)
    finally:
        building._compute = real
    assert len(calls) == 2
    other = built(Library(tmp_path / "other", tmp_path / "nowhere"), folder)
    assert made.version.manifest.content_hash == other.version.manifest.content_hash


@pytest.mark.parametrize("name", ["../out", "shipped", ""])
def test_a_name_that_cannot_be_used_is_refused_before_any_work(library, tmp_path, batches, name):
    folder = write_folder(tmp_path / "own", rows_of(3))
    with pytest.raises(ReferenceSetError, match="cannot be the name"):
        built(library, folder, Wanted(name))
    with pytest.raises(ParameterError, match="policy called everything"):
        built(library, folder, Wanted("mine", "everything"))
    assert batches == []


# --- sources ----------------------------------------------------------------------------------


def test_columns_are_mapped_and_splits_chosen(library, tmp_path):
    folder = write_folder(tmp_path / "own", rows_of(6))
    frame = pd.read_csv(folder / "samples.csv", dtype=str)
    frame = frame.rename(columns={"question": "ask", "answer": "truth"})
    frame["split"] = ["train", "test"] * 3
    (folder / "samples.csv").unlink()
    frame.to_json(folder / "samples.jsonl", orient="records", lines=True)
    columns = {"question": "ask", "answer": "truth"}
    source = open_source(str(folder), library, tmp_path / "out", columns, "train")
    assert [sample.id for sample in source.suite.samples] == ["s0-0000", "s0-0002", "s0-0004"]
    with pytest.raises(SuiteError, match="no column nothing"):
        open_source(str(folder), library, tmp_path / "out", {"question": "nothing"})
    with pytest.raises(SuiteError, match="split dev"):
        open_source(str(folder), library, tmp_path / "out", columns, "dev")
    with pytest.raises(SuiteError, match="neither a file nor a reference set"):
        open_source("nowhere", library, tmp_path / "out")


def test_a_set_is_built_again_from_itself(library, tmp_path):
    first = built(library, write_folder(tmp_path / "own", rows_of(12)))
    source = open_source("mine", library, tmp_path / "out")
    assert source.kind == "reference"
    again = build(SmallModel(), SmallEmbedder(), source, library, Wanted("again"))
    one, two = ReferenceSet.load(first.version.root), ReferenceSet.load(again.version.root)
    assert np.array_equal(one.embeddings, two.embeddings)
    assert np.array_equal(one.labels, two.labels)
    assert two.sample(0).source == "own s0-0000"


def test_a_datasets_folder_is_read(library, tmp_path):
    """Laid out as `Dataset.save_to_disk` does: state.json, dataset_info.json, Arrow streams."""
    root = tmp_path / "dataset"
    rows = rows_of(5)
    folder = write_folder(tmp_path / "own", rows)
    root.mkdir()
    pictures = [
        {"bytes": (folder / f"{row.id}.png").read_bytes(), "path": f"{row.id}.png"} for row in rows
    ]
    names = sorted(ANSWERS)
    table = pa.table(
        {
            "picture": pa.array(
                pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            ),
            "question": [row.question for row in rows],
            "class": [names.index(row.answer) for row in rows],
        }
    )
    file = root / "data-00000-of-00001.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (root / "state.json").write_text(json.dumps({"_data_files": [{"filename": file.name}]}))
    features = {
        "picture": {"_type": "Image"},
        "question": {"dtype": "string", "_type": "Value"},
        "class": {"names": names, "_type": "ClassLabel"},
    }
    (root / "dataset_info.json").write_text(json.dumps({"features": features}))
    columns = {"image": "picture", "answer": "class"}
    source = open_source(str(root), library, tmp_path / "out", columns)
    assert source.kind == "datasets"
    assert [sample.answer for sample in source.suite.samples] == [row.answer for row in rows]
    assert source.suite.samples[2].image.read_bytes() == pictures[2]["bytes"]
    # A folder cannot name a file outside itself.
    (root / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    with pytest.raises(SuiteError, match="outside its folder"):
        open_source(str(root), library, tmp_path / "out", columns)


def test_a_run_is_read(library, tmp_path):
    folder = write_folder(tmp_path / "own", rows_of(4))
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    records = [
        {"suite": "s", "sample": row.id, "method": method, "family": row.family, "style": "",
         "language": "en", "question": row.question, "image": str(folder / f"{row.id}.png"),
         "label": row.answer}
        for row in rows_of(4) for method in ("base", "ngd")
    ]  # fmt: skip
    pd.DataFrame(records).to_parquet(run / "results.parquet")
    source = open_source(str(run), library, tmp_path / "out")
    assert source.kind == "run"
    assert [sample.answer for sample in source.suite.samples] == [row.answer for row in rows_of(4)]


# --- the authors' JSON -------------------------------------------------------------------------


def authors_objects(count: int, seed: int = 0) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    objects = []
    for number in range(count):
        weights = np.concatenate([rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3))])
        objects.append(
            {
                "id": number,
                "question": f"What is the {('red', 'blue')[number % 2]} thing {number}?",
                "image_path": f"images/CLEVR_{number:06d}.png",
                "model_answer": "yes",
                "ground_truth": ("yes", "no")[number % 3 == 0],
                "is_correct": number % 3 != 0,
                "weights": dict(zip(MOAI.experts, weights.tolist(), strict=True)),
                "remark": f"ü {number}",
            }
        )
    return objects


@pytest.fixture
def authors(tmp_path) -> Path:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(authors_objects(40)), encoding="utf-8")
    return path


def test_the_authors_file_comes_back_to_the_last_bit(authors, library):
    made = import_routings(authors, library, "moai", SmallEmbedder())
    reference = ReferenceSet.load(made.version.root, verify=True)
    assert reference.manifest.routing_only
    assert [gate.experts for gate in reference.manifest.gates] == [g.experts for g in MOAI.gates]
    assert reference.eligible("correct_only").sum() == 26
    assert json.loads(export_routings(reference)) == json.loads(authors.read_text())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entry: entry.pop("weights"), "weights is missing"),
        (lambda entry: entry["weights"].pop("img_aux"), "weights are named"),
        (lambda entry: entry["weights"].update(img_aux=-0.1), "not 0 or more"),
        (lambda entry: entry["weights"].update(img_aux=float("nan")), "not 0 or more"),
        (lambda entry: entry["weights"].update(img_aux=0.9), "gate image sum to"),
        (lambda entry: entry["weights"].update(img_aux="much"), "is no number"),
        (lambda entry: entry.update(is_correct=1), "is_correct is no bool"),
        (lambda entry: entry.update(id=True), "id is no str"),
        (lambda entry: entry.update(question=" "), "question is empty"),
        (lambda entry: entry.update(id=1), "was used before"),
    ],
)
def test_a_bad_object_is_kept_with_its_reason(tmp_path, library, change, words):
    objects = authors_objects(4)
    change(objects[2])
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(objects))
    made = import_routings(path, library, "moai", SmallEmbedder())
    assert made.kept == 3
    (bad,) = made.bad_rows
    assert bad["row"] == "3"
    assert words in bad["reason"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1, 2]", '{"a": 1}', "[{]"])
def test_no_such_file_is_said(tmp_path, library, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ReferenceSetError):
        import_routings(path, library, "moai", SmallEmbedder())


def test_it_is_refused_for_a_model_of_another_topology(authors, library):
    import_routings(authors, library, "moai", SmallEmbedder())
    with pytest.raises(ReferenceSetError) as refused:
        open_reference(
            library, "moai", model_fingerprint="f" * 64, embedder_hash="e" * 64, routing_spec=SPEC
        )
    text = str(refused.value)
    assert "(img_aux, img_lang, img_self) + (lang_aux, lang_img, lang_self)" in text
    assert "(one, two, three, four)" in text
    assert "means nothing to the other" in text


@pytest.mark.parametrize("strategy", ["kernel_regression", "mode_finding"])
def test_routings_alone_re_route(authors, library, strategy):
    made = import_routings(authors, library, "moai", SmallEmbedder())
    reference = ReferenceSet.load(made.version.root)
    params = parse_params(get_strategy(strategy), {})
    query = SmallEmbedder().embed(["What is the red thing there?"])
    own = torch.tensor([[0.8, 0.1, 0.1, 0.2, 0.4, 0.4]])
    retrieval = RetrievalParams(policy="correct_only", n_neighbours=5)
    index = ReferenceIndex(reference)
    moved = reroute_by_routings(index, query, own, strategy, params, retrieval)
    end = moved.routing[-1]
    assert torch.allclose(end[:, :3].sum(1), torch.ones(1), atol=1e-5)
    assert torch.allclose(end[:, 3:].sum(1), torch.ones(1), atol=1e-5)
    found = index.retrieve(query, np.zeros((1, 0), np.float32), retrieval).neighbours
    assert reference.eligible("correct_only")[found.index.numpy()].all()
    if strategy == "kernel_regression":
        assert torch.allclose(end, (found.weight[..., None] * found.routing).sum(1), atol=1e-6)
        assert moved.surrogate_loss[-1] < moved.surrogate_loss[0]


def test_what_needs_a_loss_is_refused(authors, library):
    made = import_routings(authors, library, "moai", SmallEmbedder())
    index = ReferenceIndex(ReferenceSet.load(made.version.root))
    query, own = SmallEmbedder().embed(["What?"]), torch.full((1, 6), 1 / 3)
    search = parse_params(get_strategy("kernel_regression"), {"alpha_mode": "search"})
    for strategy, params in (
        ("ngd", parse_params(get_strategy("ngd"), {})),
        ("kernel_regression", search),
    ):
        with pytest.raises(ParameterError, match="needs the neighbours' loss"):
            reroute_by_routings(index, query, own, strategy, params, RetrievalParams())
    with pytest.raises(ReferenceSetError, match="routings alone"):
        index.reference.outputs_of(torch.tensor([0]))


def test_a_local_set_is_not_exported(library, tmp_path):
    made = built(library, write_folder(tmp_path / "own", rows_of(5)), Wanted("mine", local=True))
    reference = ReferenceSet.load(made.version.root)
    with pytest.raises(ReferenceSetError, match="never leaves this machine"):
        export_routings(reference)
    objects = json.loads(export_routings(reference, disclose_local=True))
    assert [entry["ground_truth"] for entry in objects] == [row.answer for row in rows_of(5)]
    assert list(objects[0]["weights"]) == list(SPEC.experts)
