"""New versions out of old ones: some of the samples, or more of them; the old ones stay.

What a new version takes over it shares with its parent (hard links), where the file system can.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from r2t2_core.errors import ReferenceSetError
from r2t2_core.i18n import N_
from r2t2_core.reference.manifest import Manifest, sealed
from r2t2_core.reference.store import ReferenceSet

MAPPED_FROM = 100_000
"""From so many samples on a table is written as Arrow, to be memory-mapped, not as Parquet."""


def link(source: Path, target: Path) -> None:
    """Share a file with another version; copy it where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copyfile(source, target)


def now() -> str:
    """Return the time of making: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def floats(matrix: np.ndarray) -> pa.Array:
    """Return rows of floats (N, d) as one column."""
    values = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])


def write_table(root: Path, stem: str, table: pa.Table) -> str:
    """Write a segment's table; return the file's name."""
    if table.num_rows < MAPPED_FROM and stem == "samples":
        name = f"{stem}.parquet"
        pq.write_table(table, root / name, compression="zstd")
        return name
    name = f"{stem}.arrow"
    with pa.OSFile(str(root / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return name


def subset(
    reference: ReferenceSet,
    rows: np.ndarray,
    root: Path,
    about: Mapping[str, Any],
    columns: Mapping[str, pa.Array] | None = None,
) -> Manifest:
    """Write some samples as a version of its own.

    Parameters
    ----------
    reference : ReferenceSet
    rows : ndarray (n,), int64
        In the order in which they are to stand.
    root : Path
        A new folder.
    about : mapping
        Fields of the manifest that differ from the parent's: `name`, `note`, `author`, ….
    columns : mapping, optional
        Columns (n) that differ from the parent's, already in the new order.

    Raises
    ------
    ReferenceSetError
        No sample is left.
    """
    if len(rows) == 0:
        raise ReferenceSetError(
            N_("No sample is left."), N_("Keep at least one sample."), name=reference.manifest.name
        )
    root.mkdir(parents=True)
    table = reference.table.take(pa.array(rows))
    for name, values in (columns or {}).items():
        table = table.set_column(table.column_names.index(name), name, values)
    names = [write_table(root, "samples", table)]
    if not reference.manifest.routing_only:
        outputs = reference.outputs_of(torch.tensor(rows.tolist(), dtype=torch.int64))
        np.save(root / "expert_outputs.npy", outputs.numpy())
        names.append("expert_outputs.npy")
        for row in rows.tolist():
            name = str(reference.table["image"][row].as_py())
            link(reference.image_path(row), root / name)
        folders = {str(name).split("/")[0] for name in table["image"].unique().to_pylist()}
        names += sorted(folders)
    parent = reference.manifest
    manifest = parent.model_copy(
        update={
            "size": len(rows),
            "created_at": now(),
            "parents": (parent.content_hash,),
            "file_hashes": dict.fromkeys(names, ""),
            **about,
        }
    )
    return sealed(root, manifest)


def append(
    base: ReferenceSet, more: ReferenceSet, root: Path, about: Mapping[str, Any]
) -> Manifest:
    """Write a version that holds all of `base` and, after it, all of `more`.

    Nothing of `base` is computed, hashed or copied anew; its scale of pictures is kept, so that
    distances mean the same in both versions.

    Raises
    ------
    ReferenceSetError
        The two were made with different models or embedders.
    """
    require_alike(base.manifest, more.manifest)
    root.mkdir(parents=True)
    known: dict[str, str] = {}
    parent = base.manifest
    for name in (*parent.files("samples"), *parent.files("expert_outputs")):
        link(base.root / name, root / name)
        known[name] = parent.file_hashes[name]
    for name in parent.files("images"):
        _link_folder(base.root / name, root / name)
        known[name] = parent.file_hashes[name]
    number = len(parent.files("samples"))
    stem = f"{number:04d}"
    table = more.table
    images = [str(name) for name in more.column("image")]
    moved = [f"images-{stem}/{name.replace('/', '-')}" for name in images]
    table = table.set_column(table.column_names.index("image"), "image", pa.array(moved))
    identifiers = _unused(more.column("id"), set(base.column("id")))
    table = table.set_column(table.column_names.index("id"), "id", pa.array(identifiers))
    names = [*known, write_table(root, f"samples-{stem}", table)]
    if not parent.routing_only:
        rows = torch.arange(len(more))
        np.save(root / f"expert_outputs-{stem}.npy", more.outputs_of(rows).numpy())
        for row, name in enumerate(moved):
            link(more.image_path(row), root / name)
        names += [f"expert_outputs-{stem}.npy", f"images-{stem}"]
    manifest = parent.model_copy(
        update={
            "size": parent.size + more.manifest.size,
            "created_at": now(),
            "parents": (parent.content_hash, more.manifest.content_hash),
            "local": parent.local or more.manifest.local,
            "file_hashes": dict.fromkeys(names, ""),
            **about,
        }
    )
    return sealed(root, manifest, known)


def require_alike(first: Manifest, second: Manifest) -> None:
    """Refuse two sets that do not speak of the same model in the same space."""
    for field in ("model_fingerprint", "embedder_hash", "answers", "routing_only"):
        if getattr(first, field) != getattr(second, field):
            raise ReferenceSetError(
                N_("{first} and {second} were made with different models or embedders."),
                N_("Build both again with the same model and embedder."),
                first=first.name,
                second=second.name,
            )


def _unused(wanted: Iterable[str], used: set[str]) -> list[str]:
    """Return identifiers that are not used yet, as like to the wanted ones as can be."""
    found = []
    for name in wanted:
        free, number = name, 2
        while free in used:
            free, number = f"{name}-{number}", number + 1
        used.add(free)
        found.append(free)
    return found


def _link_folder(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    for file in source.rglob("*"):
        if file.is_file():
            link(file, target / file.relative_to(source))
