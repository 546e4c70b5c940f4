"""A reference set on disk and in memory.

A folder with

    manifest.json        what it is, made with which model and embedder, and hashes
    samples.parquet      questions, labels, the model's answers, embeddings, routings
    expert_outputs.npy   (N, E, D) float32, memory-mapped: what does not depend on the routing
    images/              pictures
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from r2t2_core.errors import ParameterError, ReferenceSetError
from r2t2_core.i18n import N_

POLICIES = ("correct_only", "all_labelled", "refined")
"""`correct_only` is the paper's; `all_labelled` takes all samples with the router's own routing;
`refined` takes samples that the refined routing answers correctly, with that routing."""

FILES = ("samples.parquet", "expert_outputs.npy", "images")
"""What a reference set consists of, beside its manifest."""

RESTORE = N_("Restore the folder from the repository, or build the reference set again.")
REBUILD = N_("Build the reference set again with this model and embedder.")


class Manifest(BaseModel):
    """What a reference set is.

    Attributes
    ----------
    file_hashes : dict
        Name of a file → SHA-256; `images` stands for all pictures together.
    content_hash : str
        SHA-256 over the canonical JSON of everything else in this manifest but the time of making,
        so that the same seeds give the same hash.
    image_mean, image_scale : tuple of float
        Mean and standard deviation of the pictures' features, for standardising.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: str = "1"
    name: str
    size: int
    created_at: str
    licence: str
    source: str
    model: str
    model_fingerprint: str
    embedder: str
    embedder_hash: str
    experts: tuple[str, ...]
    answers: tuple[str, ...]
    image_mean: tuple[float, ...]
    image_scale: tuple[float, ...]
    file_hashes: dict[str, str]
    content_hash: str = ""

    def compute_hash(self) -> str:
        """Return what `content_hash` should be."""
        fields = self.model_dump(mode="json", exclude={"content_hash", "created_at"})
        return hashlib.sha256(rfc8785.dumps(fields)).hexdigest()


@dataclass(frozen=True)
class ReferenceSample:
    """One sample, for people."""

    id: str
    question: str
    label: str
    model_answer: str
    is_correct: bool
    refined_correct: bool
    family: str
    style: str
    image: str


class ReferenceSet:
    """A reference set in memory; all arrays are read-only.

    Attributes
    ----------
    root : Path
    manifest : Manifest
    embeddings : ndarray (N, d), float32
    image_features : ndarray (N, F), float32
    router_routing : ndarray (N, E), float32
        What the router itself chose.
    labels : ndarray (N,), int64
        Indices into `manifest.answers`.
    """

    def __init__(self, root: Path, manifest: Manifest, table: pa.Table) -> None:
        self.root = root
        self.manifest = manifest
        self._table = table
        self.embeddings = _matrix(table, "embedding")
        self.image_features = _matrix(table, "image_features")
        self.router_routing = _matrix(table, "routing")
        self._refined_routing = _matrix(table, "refined_routing")
        self._is_correct = table["is_correct"].to_numpy()
        self._refined_correct = table["refined_correct"].to_numpy()
        places = {answer: number for number, answer in enumerate(manifest.answers)}
        self.labels = np.array([places[label] for label in table["label"].to_pylist()])
        self._stored_rows: np.ndarray | None = None

    @classmethod
    def load(
        cls,
        root: Path,
        *,
        model_fingerprint: str | None = None,
        embedder_hash: str | None = None,
        verify: bool = False,
    ) -> ReferenceSet:
        """Open a reference set.

        Parameters
        ----------
        root : Path
        model_fingerprint, embedder_hash : str, optional
            What it must have been made with.
        verify : bool
            Hash the pictures too, which takes a while; all that is computed with is always checked.

        Raises
        ------
        ReferenceSetError
            Missing, damaged, or made with another model or embedder.
        """
        try:
            manifest = Manifest.model_validate_json((root / "manifest.json").read_bytes())
            table = pq.read_table(root / "samples.parquet")
        except (OSError, ValidationError, pa.ArrowException) as error:
            raise ReferenceSetError(
                N_("The reference set in {root} cannot be read: {reason}."),
                RESTORE,
                root=str(root),
                reason=str(error),
            ) from error
        _check_origin(manifest, model_fingerprint, embedder_hash)
        names = FILES if verify else ("samples.parquet", "expert_outputs.npy")
        damaged = [name for name in names if _hash_of(root, name) != manifest.file_hashes.get(name)]
        if manifest.compute_hash() != manifest.content_hash:
            damaged.append("manifest.json")
        if damaged or table.num_rows != manifest.size:
            raise ReferenceSetError(
                N_("The reference set {name} was changed after it was made: {files}."),
                RESTORE,
                name=manifest.name,
                files=", ".join(damaged) or "samples.parquet",
            )
        return cls(root, manifest, table)

    def __len__(self) -> int:
        return self.manifest.size

    def eligible(self, policy: str) -> np.ndarray:
        """Return which samples (N,), bool, a policy admits."""
        _check_policy(policy)
        if policy == "correct_only":
            mask: np.ndarray = self._is_correct
        elif policy == "refined":
            mask = self._refined_correct
        else:
            mask = np.ones(len(self), dtype=bool)
        return mask

    def routing_for(self, policy: str) -> np.ndarray:
        """Return the routings (N, E), float32, that a policy offers."""
        _check_policy(policy)
        return self._refined_routing if policy == "refined" else self.router_routing

    @cached_property
    def _expert_outputs(self) -> np.ndarray:
        try:
            outputs: np.ndarray = np.load(self.root / "expert_outputs.npy", mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise ReferenceSetError(
                N_("The reference set in {root} cannot be read: {reason}."),
                RESTORE,
                root=str(self.root),
                reason=str(error),
            ) from error
        return outputs

    @property
    def families(self) -> np.ndarray:
        """Question families (N,), str."""
        return np.array(self._table["family"].to_pylist())

    def variant(
        self,
        rows: np.ndarray,
        labels: np.ndarray | None = None,
        refined: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        about: str,
    ) -> ReferenceSet:
        """Return some samples, perhaps with other labels, as a set of its own: for ablations.

        Parameters
        ----------
        rows : ndarray (n,), int64
        labels : ndarray (n,), int64, optional
            Instead of theirs.
        refined : pair of ndarray (n, E) and (n,), bool, optional
            Refined routing, and whether it answers the label, instead of theirs.
        about : str
            What was done; part of the new set's name and hash.
        """
        name = f"{self.manifest.name}, {about}"
        manifest = self.manifest.model_copy(update={"name": name, "size": len(rows)})
        manifest = manifest.model_copy(update={"content_hash": manifest.compute_hash()})
        made = ReferenceSet(self.root, manifest, self._table.take(pa.array(rows)))
        made._stored_rows = rows if self._stored_rows is None else self._stored_rows[rows]
        if labels is not None:
            made.labels = labels
        if refined is not None:
            made._refined_routing, made._refined_correct = refined
        return made

    def outputs_of(self, rows: torch.Tensor) -> torch.Tensor:
        """Return stored expert outputs (..., E, D) of rows (...)."""
        chosen = rows.cpu().numpy()
        if self._stored_rows is not None:
            chosen = self._stored_rows[chosen]
        return torch.from_numpy(np.array(self._expert_outputs[chosen]))

    def sample(self, row: int) -> ReferenceSample:
        """Return one sample, for people."""
        columns = ReferenceSample.__dataclass_fields__
        return ReferenceSample(**{name: self._table[name][row].as_py() for name in columns})

    def image_path(self, row: int) -> Path:
        """Return the path of a sample's picture."""
        return self.root / str(self._table["image"][row].as_py())


def write_reference_set(
    root: Path, manifest: Manifest, table: pa.Table, expert_outputs: np.ndarray
) -> Manifest:
    """Write table, expert outputs and manifest beside the pictures that are already there.

    Parameters
    ----------
    root : Path
        Holds `images/`.
    manifest : Manifest
        Its hashes are computed here.
    table : pyarrow.Table
        Columns as in the module's description.
    expert_outputs : ndarray (N, E, D)

    Returns
    -------
    Manifest
        With hashes.
    """
    pq.write_table(table, root / "samples.parquet", compression="zstd")
    np.save(root / "expert_outputs.npy", expert_outputs.astype(np.float32))
    hashed = manifest.model_copy(
        update={"file_hashes": {name: _hash_of(root, name) for name in FILES}}
    )
    final = hashed.model_copy(update={"content_hash": hashed.compute_hash()})
    (root / "manifest.json").write_text(final.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return final


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    matrix: np.ndarray = values.reshape(table.num_rows, -1)
    matrix.setflags(write=False)
    return matrix


def _hash_of(root: Path, name: str) -> str:
    path = root / name
    digest = hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    if not path.exists():
        return "missing"
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _check_policy(policy: str) -> None:
    if policy not in POLICIES:
        raise ParameterError(
            N_("There is no reference policy called {name}."),
            N_("Choose one of: {known}."),
            name=policy,
            known=", ".join(POLICIES),
        )


def _check_origin(
    manifest: Manifest, model_fingerprint: str | None, embedder_hash: str | None
) -> None:
    if model_fingerprint is not None and manifest.model_fingerprint != model_fingerprint:
        raise ReferenceSetError(
            N_("The reference set {name} was made with another model ({model}, other weights)."),
            REBUILD,
            name=manifest.name,
            model=manifest.model,
        )
    if embedder_hash is not None and manifest.embedder_hash != embedder_hash:
        raise ReferenceSetError(
            N_("The reference set {name} was made with another embedder ({embedder})."),
            REBUILD,
            name=manifest.name,
            embedder=manifest.embedder,
        )
