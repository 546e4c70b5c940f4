"""What a reference set can be built from: everything that holds labelled questions about pictures.

A suite (folder, zip or table), another reference set, the results of an evaluation run, or a
`datasets` folder of Hugging Face on disk. All become a `Suite`, read by one reader.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from r2t2_core.errors import ReferenceSetError, SuiteError
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.suites import LAYOUT, Suite, SuiteSample, load_suite, suite_of
from r2t2_core.i18n import N_
from r2t2_core.reference.library import Library
from r2t2_core.reference.store import ReferenceSet

PICTURE_ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif"}


@dataclass(frozen=True)
class Source:
    """Labelled questions, and where they come from.

    Attributes
    ----------
    kind : str
        `suite`, `reference`, `run` or `datasets`.
    suite : Suite
    licence : str
        Of all samples that name none of their own; empty where it is not known.
    """

    kind: str
    suite: Suite
    licence: str = ""


def open_source(
    text: str,
    library: Library,
    unpack_to: Path,
    columns: Mapping[str, str] | None = None,
    split: str = "",
    sample_data: Path | None = None,
) -> Source:
    """Open what a person named.

    Parameters
    ----------
    text : str
        A path, or the name of a reference set.
    library : Library
    unpack_to : Path
        Where zips and `datasets` folders are unpacked.
    columns : mapping, optional
        Our name of a column → the table's own, where they differ.
    split : str
        Keep the rows of this split alone.
    sample_data : Path, optional
        Where the shipped run's pictures are.

    Raises
    ------
    SuiteError, ReferenceSetError, RunError
        It is missing, damaged, or holds no usable row.
    """
    path = Path(text)
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    if (path / "results.parquet").is_file() and (path / "run.json").is_file():
        source = Source("run", _of_run(Run.open(path), sample_data))
    elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        source = Source("datasets", _of_datasets(path, unpack_to / digest, columns, split))
    elif _is_reference(path) or not path.exists():
        source = _of_reference(text, library)
    else:
        source = Source("suite", load_suite(path, unpack_to / digest / path.stem, columns))
    if not split or source.kind == "datasets":
        return source
    chosen = tuple(sample for sample in source.suite.samples if sample.split == split)
    if not chosen:
        raise SuiteError(N_("No row belongs to the split {split}."), LAYOUT, split=split)
    return replace(source, suite=replace(source.suite, samples=chosen))


def _is_reference(path: Path) -> bool:
    manifest = path / "manifest.json"
    return manifest.is_file() and "model_fingerprint" in manifest.read_text(encoding="utf-8")


def _of_reference(text: str, library: Library) -> Source:
    try:
        root = library.find(text)
    except ReferenceSetError as error:
        raise SuiteError(
            N_("There is neither a file nor a reference set called {name}."), LAYOUT, name=text
        ) from error
    reference = ReferenceSet.load(root)
    if reference.manifest.routing_only:
        raise SuiteError(
            N_("{name} holds routings alone, and no pictures to build from."), LAYOUT, name=text
        )
    samples = []
    for row in range(len(reference)):
        sample = reference.sample(row)
        samples.append(
            SuiteSample(
                sample.id,
                reference.image_path(row),
                sample.question,
                sample.label,
                sample.family,
                sample.style,
                source=sample.source or f"{reference.manifest.name} {sample.id}",
                licence=sample.licence or reference.manifest.licence,
            )
        )  # fmt: skip
    return Source("reference", suite_of(reference.manifest.name, samples))


def _of_run(run: Run, sample_data: Path | None) -> Suite:
    rows = run.results.drop_duplicates(["suite", "sample"])
    samples = []
    for row in rows.to_dict("records"):
        path = Path(row["image"])
        if not path.is_absolute() and sample_data is not None:
            path = sample_data / path
        samples.append(
            SuiteSample(
                f"{row['suite']}-{row['sample']}",
                path,
                row["question"],
                row["label"],
                row["family"],
                row["style"],
                row["language"],
                source=f"run {run.folder.name}, {row['suite']} {row['sample']}",
            )
        )  # fmt: skip
    return suite_of(run.folder.name, samples)


def _of_datasets(path: Path, out: Path, columns: Mapping[str, str] | None, split: str) -> Suite:
    """Write a `datasets` folder out as pictures and a table, and read that as a suite."""
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        chosen = split or splits[0]
        if chosen not in splits:
            raise SuiteError(N_("No row belongs to the split {split}."), LAYOUT, split=split)
        path = path / chosen
    shutil.rmtree(out, ignore_errors=True)
    (out / "images").mkdir(parents=True)
    info = json.loads((path / "dataset_info.json").read_text(encoding="utf-8"))
    features: dict[str, Any] = info.get("features") or {}
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    files = [entry["filename"] for entry in state["_data_files"]]
    number = 0
    with (out / "samples.jsonl").open("w", encoding="utf-8") as table:
        for name in files:
            file = (path / name).resolve()
            if not file.is_relative_to(path.resolve()):
                raise SuiteError(N_("{file} cannot be read: {reason}."), LAYOUT, file=name,
                                 reason="outside its folder")  # fmt: skip
            for batch in _batches(file):
                for row in batch.to_pylist():
                    number += 1
                    plain = {
                        key: _plain(value, features.get(key), out, number, path)
                        for key, value in row.items()
                    }
                    table.write(json.dumps(plain, ensure_ascii=False) + "\n")
    return replace(load_suite(out, columns=columns), name=path.name, title=path.name)


def _batches(file: Path) -> Any:
    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader
    except (OSError, pa.ArrowException) as error:
        raise SuiteError(N_("{file} cannot be read: {reason}."), LAYOUT, file=file.name,
                         reason=str(error)) from error  # fmt: skip


def _plain(value: Any, feature: Any, out: Path, number: int, folder: Path) -> Any:
    """Return a value as JSON: a picture as the path of a file, a class as its name."""
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind == "Image" and isinstance(value, dict):
        data = value.get("bytes")
        if data is None and value.get("path"):
            picture = (folder / value["path"]).resolve()
            inside = picture.is_relative_to(folder.resolve()) and picture.is_file()
            data = picture.read_bytes() if inside else None
        if data is None:
            return ""
        ending = next((e for magic, e in PICTURE_ENDINGS.items() if data.startswith(magic)), ".img")
        name = f"images/{number:07d}{ending}"
        (out / name).write_bytes(data)
        return name
    if kind == "ClassLabel" and isinstance(value, int):
        return feature["names"][value] if 0 <= value < len(feature["names"]) else ""
    return value
