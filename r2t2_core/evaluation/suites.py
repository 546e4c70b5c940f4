"""Suites of labelled questions about pictures: ours, and a person's own.

A suite is a folder (or a zip of one) with

    samples.parquet, samples.csv or samples.jsonl   columns `image, question, answer` first
    pictures                                        paths in `image`, below the folder
    manifest.json                                   optional: name, title, description, hashes

Further columns (`id`, `family`, `style`, …) are kept where they are known. Bad rows never stop a
suite: they are counted and kept with their reason.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError

from r2t2_core.errors import SuiteError
from r2t2_core.i18n import N_

TABLES = ("samples.parquet", "samples.csv", "samples.jsonl")

REQUIRED = ("image", "question", "answer")

OPTIONAL = ("id", "family", "style", "language")

LAYOUT = N_(
    "A suite is a folder or zip with samples.csv, samples.jsonl or samples.parquet (columns image, "
    "question, answer) and the pictures."
)

MOST_UNZIPPED = 2_000_000_000
"""Bytes that a zip may grow to."""


class SuiteManifest(BaseModel):
    """What a shipped suite is.

    Attributes
    ----------
    by_default : bool
        It belongs to the suites that are run when none is named.
    file_hashes : dict
        Table, and `images` for all pictures together, → SHA-256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: str = "1"
    name: str
    title: str
    description: str
    size: int
    source: str
    licence: str
    file_hashes: dict[str, str]
    by_default: bool = True


@dataclass(frozen=True)
class SuiteSample:
    """One labelled question.

    Attributes
    ----------
    id : str
        Unique within its suite.
    image : Path
    question, answer : str
    family, style, language : str
        Empty where they are not known.
    """

    id: str
    image: Path
    question: str
    answer: str
    family: str = ""
    style: str = ""
    language: str = ""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    line: int
    error: SuiteError


@dataclass(frozen=True)
class Suite:
    """Labelled questions, in the order of their table.

    Attributes
    ----------
    name, title : str
    samples : tuple of SuiteSample
    bad_rows : tuple of BadRow
    content_hash : str
        SHA-256 over ids, questions, answers and pictures.
    """

    name: str
    title: str
    samples: tuple[SuiteSample, ...]
    bad_rows: tuple[BadRow, ...]
    content_hash: str

    def __len__(self) -> int:
        return len(self.samples)


def load_suite(path: Path, unpack_to: Path | None = None) -> Suite:
    """Open a suite.

    Parameters
    ----------
    path : Path
        A folder, a zip, or the table itself.
    unpack_to : Path, optional
        Where a zip is unpacked; required for zips.

    Raises
    ------
    SuiteError
        It is missing, damaged, changed, or holds no usable row.
    """
    if path.suffix.lower() == ".zip":
        path = _unpack(path, unpack_to)
    root, table = _find_table(path)
    manifest = _read_manifest(root)
    frame = _read_table(table)
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise SuiteError(
            N_("{file} has no column {missing}."), LAYOUT, file=table.name, missing=missing[0]
        )
    samples, bad = _read_rows(frame, root)
    if not samples:
        if bad:
            raise bad[0].error
        raise SuiteError(N_("{file} has no row."), LAYOUT, file=table.name)
    content = content_hash(samples)
    if manifest is not None and manifest.file_hashes.get("content") != content:
        raise SuiteError(
            N_("The suite {name} was changed after it was made."),
            N_("Restore the folder from the repository, or build the suites again."),
            name=manifest.name,
        )
    name = manifest.name if manifest else root.name
    return Suite(name, manifest.title if manifest else name, samples, bad, content)


def shipped_suites(folder: Path) -> dict[str, Path]:
    """Return all shipped suites' folders by name, in the order in which people see them."""
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/manifest.json"))}


def default_suites(folder: Path) -> dict[str, Path]:
    """Return the folders of the suites that are run when none is named."""
    found = shipped_suites(folder)
    return {name: path for name, path in found.items() if _is_default(path)}


def _is_default(root: Path) -> bool:
    manifest = _read_manifest(root)
    return manifest is not None and manifest.by_default


def write_suite(root: Path, manifest: SuiteManifest, samples: Sequence[SuiteSample]) -> None:
    """Write table and manifest beside the pictures that are already there."""
    frame = pd.DataFrame(
        {
            "image": [sample.image.relative_to(root).as_posix() for sample in samples],
            "question": [sample.question for sample in samples],
            "answer": [sample.answer for sample in samples],
            **{name: [getattr(sample, name) for sample in samples] for name in OPTIONAL},
        }
    )
    frame.to_parquet(root / "samples.parquet", index=False)
    final = manifest.model_copy(
        update={"file_hashes": {"content": content_hash(samples)}, "size": len(samples)}
    )
    (root / "manifest.json").write_text(final.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _unpack(path: Path, folder: Path | None) -> Path:
    if folder is None:
        raise ValueError("a zip needs a folder to be unpacked to")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_UNZIPPED:
                raise SuiteError(
                    N_("{file} grows beyond {limit} GB when it is unpacked."),
                    N_("Give the folder itself, or fewer pictures."),
                    file=path.name,
                    limit=MOST_UNZIPPED // 1_000_000_000,
                )
            # extractall keeps every member below the folder, whatever its name says.
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise SuiteError(N_("{file} cannot be unpacked: {reason}."), LAYOUT, file=path.name,
                         reason=str(error)) from error  # fmt: skip
    tables = [found for name in TABLES for found in sorted(folder.rglob(name))]
    if not tables:
        raise SuiteError(N_("There is no table of samples in {folder}."), LAYOUT, folder=path.name)
    return tables[0].parent


def _find_table(path: Path) -> tuple[Path, Path]:
    if path.is_file():
        return path.parent, path
    for name in TABLES:
        if (path / name).is_file():
            return path, path / name
    raise SuiteError(N_("There is no table of samples in {folder}."), LAYOUT, folder=str(path))


def _read_manifest(root: Path) -> SuiteManifest | None:
    path = root / "manifest.json"
    if not path.is_file():
        return None
    try:
        return SuiteManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SuiteError(
            N_("The manifest of the suite in {folder} cannot be read: {reason}."),
            N_("Restore the folder from the repository, or delete its manifest.json."),
            folder=str(root),
            reason=str(error.errors()[0]["msg"]),
        ) from error


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False)
        return pd.read_json(path, lines=True, dtype=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SuiteError(N_("{file} cannot be read: {reason}."), LAYOUT, file=path.name,
                         reason=str(error)) from error  # fmt: skip


def _read_rows(
    frame: pd.DataFrame, root: Path
) -> tuple[tuple[SuiteSample, ...], tuple[BadRow, ...]]:
    samples: list[SuiteSample] = []
    bad: list[BadRow] = []
    seen: set[str] = set()
    records = frame.fillna("").astype(str).to_dict("records")
    for number, record in enumerate(records, start=1):
        row = {str(name): str(value).strip() for name, value in record.items()}
        image = (root / row["image"]).resolve()
        identifier = row.get("id") or f"{number:06d}"
        error = _complaint(row, number, image, root, identifier in seen)
        if error is not None:
            bad.append(BadRow(number, error))
            continue
        seen.add(identifier)
        optional = {name: row.get(name, "") for name in OPTIONAL[1:]}
        samples.append(SuiteSample(identifier, image, row["question"], row["answer"], **optional))
    return tuple(samples), tuple(bad)


def _complaint(
    row: dict[str, str], line: int, image: Path, root: Path, repeated: bool
) -> SuiteError | None:
    """Return what is wrong with a row, if anything is."""
    empty = [name for name in REQUIRED if not row[name]]
    if empty:
        return SuiteError(N_("Row {line}: {name} is empty."), LAYOUT, line=line, name=empty[0])
    if not image.is_relative_to(root.resolve()):
        return SuiteError(
            N_("Row {line}: the picture {image} lies outside the suite's folder."),
            LAYOUT,
            line=line,
            image=row["image"],
        )
    if not image.is_file():
        return SuiteError(
            N_("Row {line}: there is no picture {image}."), LAYOUT, line=line, image=row["image"]
        )
    if repeated:
        return SuiteError(N_("Row {line}: its id was used before."), LAYOUT, line=line)
    return None


def content_hash(samples: Sequence[SuiteSample]) -> str:
    """Return SHA-256 over ids, questions, answers and pictures."""
    pictures = {path: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in {sample.image for sample in samples}}  # fmt: skip
    content = [[s.id, s.question, s.answer, pictures[s.image]] for s in samples]
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()
