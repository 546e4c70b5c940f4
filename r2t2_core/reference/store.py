"""A reference set in memory, opened from the folder that `manifest` describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError

from r2t2_core.errors import ParameterError, ReferenceSetError
from r2t2_core.i18n import N_
from r2t2_core.reference.manifest import FILES, POLICIES, GateShape, Manifest, hash_of, sealed
from r2t2_core.reference.outputs import RESTORE, StoredOutputs
from r2t2_core.types import RoutingSpec

__all__ = [
    "FILES",
    "POLICIES",
    "GateShape",
    "Manifest",
    "ReferenceSample",
    "ReferenceSet",
    "write_reference_set",
]

REBUILD = N_(
    "Build it again with this model and embedder: `r2t2 reference build --data {name} --name NEW`."
)


@dataclass(frozen=True)
class Layer:
    """One set of a stack.

    Attributes
    ----------
    name : str
    weight : float
        Its samples' kernel weights are multiplied by this before they are normalised.
    local : bool
        Its samples never leave this machine.
    root : Path
    """

    name: str
    weight: float
    local: bool
    root: Path


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
    source: str = ""
    """Where it came from: a file and line, a run, another set."""
    licence: str = ""


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
    layer_of : ndarray (N,), int64
        Which of `layers` a sample belongs to.
    layers : tuple of Layer
        One, unless sets were stacked.
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
        encoded = table["label"].combine_chunks().dictionary_encode()
        codes = np.array([places[label] for label in encoded.dictionary.to_pylist()], np.int64)
        self.labels = codes[encoded.indices.to_numpy()]
        self._stored_rows: np.ndarray | None = None
        self.stored_outputs = StoredOutputs(
            [root / name for name in manifest.files("expert_outputs")]
        )
        self.layers: tuple[Layer, ...] = (Layer(manifest.name, 1.0, manifest.local, root),)
        self.layer_of = np.zeros(table.num_rows, np.int64)

    @classmethod
    def load(
        cls,
        root: Path,
        *,
        model_fingerprint: str | None = None,
        embedder_hash: str | None = None,
        routing_spec: RoutingSpec | None = None,
        verify: bool = False,
    ) -> ReferenceSet:
        """Open a reference set.

        Parameters
        ----------
        root : Path
        model_fingerprint, embedder_hash : str, optional
            What it must have been made with.
        routing_spec : RoutingSpec, optional
            Topology of the model that it is to serve.
        verify : bool
            Hash the pictures too, which takes a while; all that is computed with is always checked.

        Raises
        ------
        ReferenceSetError
            Missing, damaged, or made with another model or embedder.
        """
        try:
            manifest = Manifest.model_validate_json((root / "manifest.json").read_bytes())
            table = _read_tables(root, manifest)
        except (OSError, ValidationError, pa.ArrowException) as error:
            raise ReferenceSetError(
                N_("The reference set in {root} cannot be read: {reason}."),
                RESTORE,
                root=str(root),
                reason=str(error),
            ) from error
        if routing_spec is not None:
            check_topology(manifest, routing_spec)
        check_origin(manifest, model_fingerprint, embedder_hash)
        names = [*manifest.files("samples"), *manifest.files("expert_outputs")]
        names += manifest.files("images") if verify else ()
        damaged = [name for name in names if hash_of(root, name) != manifest.file_hashes.get(name)]
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

    @property
    def families(self) -> np.ndarray:
        """Question families (N,), str."""
        return np.array(self._table["family"].to_pylist())

    @property
    def styles(self) -> np.ndarray:
        """Styles of the pictures (N,), str; empty where they are not known."""
        return np.array(self._table["style"].to_pylist())

    def variant(
        self,
        rows: np.ndarray,
        labels: np.ndarray | None = None,
        refined: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        about: str,
        columns: Mapping[str, pa.Array] | None = None,
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
        columns : mapping, optional
            Columns (n) of the table that differ, in the new order.
        """
        name = f"{self.manifest.name}, {about}"
        manifest = self.manifest.model_copy(update={"name": name, "size": len(rows)})
        manifest = manifest.model_copy(update={"content_hash": manifest.compute_hash()})
        table = self._table.take(pa.array(rows))
        for column, values in (columns or {}).items():
            table = table.set_column(table.column_names.index(column), column, values)
        made = ReferenceSet(self.root, manifest, table)
        made._stored_rows = rows if self._stored_rows is None else self._stored_rows[rows]
        made.stored_outputs = self.stored_outputs
        made.layers, made.layer_of = self.layers, self.layer_of[rows]
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
        return torch.from_numpy(self.stored_outputs.rows(chosen))

    def sample(self, row: int) -> ReferenceSample:
        """Return one sample, for people."""
        there = set(self._table.column_names)
        columns = [name for name in ReferenceSample.__dataclass_fields__ if name in there]
        return ReferenceSample(**{name: self._table[name][row].as_py() for name in columns})

    def image_path(self, row: int) -> Path:
        """Return the path of a sample's picture."""
        root = self.layers[int(self.layer_of[row])].root
        return root / str(self._table["image"][row].as_py())

    def picture_of(self, image: str, layer: str = "") -> Path:
        """Return the path of a picture as a decision names it, in the layer that it names."""
        roots = {entry.name: entry.root for entry in self.layers}
        return roots.get(layer, self.root) / image

    def column(self, name: str) -> list[Any]:
        """Return a column of the table as plain values; empty strings where there is none."""
        if name not in self._table.column_names:
            return [""] * len(self)
        values: list[Any] = self._table[name].to_pylist()
        return values

    @property
    def table(self) -> pa.Table:
        """The samples as they are stored."""
        return self._table


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
    return sealed(root, manifest.model_copy(update={"file_hashes": dict.fromkeys(FILES, "")}))


def _read_tables(root: Path, manifest: Manifest) -> pa.Table:
    """Read all segments; Arrow files are memory-mapped, not copied."""
    parts = []
    for name in manifest.files("samples"):
        if name.endswith(".arrow"):
            # The map lives as long as the table that looks into it.
            parts.append(pa.ipc.open_file(pa.memory_map(str(root / name))).read_all())
        else:
            parts.append(pq.read_table(root / name))
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts, promote_options="default")


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.zeros((table.num_rows, 0), dtype=np.float32)
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table[name].chunks]
    values = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.float32), *chunks])
    # A memory-mapped column of floats stays where it is.
    matrix: np.ndarray = values.astype(np.float32, copy=False).reshape(table.num_rows, -1)
    matrix.setflags(write=False)
    return matrix


def _check_policy(policy: str) -> None:
    if policy not in POLICIES:
        raise ParameterError(
            N_("There is no reference policy called {name}."),
            N_("Choose one of: {known}."),
            name=policy,
            known=", ".join(POLICIES),
        )


def check_topology(manifest: Manifest, spec: RoutingSpec) -> None:
    """Refuse a set whose routings have other gates or experts than a model.

    Raises
    ------
    ReferenceSetError
        It says what the two topologies are.
    """
    own = [gate.experts for gate in manifest.routing_spec.gates]
    wanted = [gate.experts for gate in spec.gates]
    if own != wanted:
        raise ReferenceSetError(
            N_(
                "The reference set {name} routes over {own}; the model routes over {wanted}. A "
                "routing of the one means nothing to the other."
            ),
            N_("Use it with a model of that topology, or build a set with this model."),
            name=manifest.name,
            own=_in_words(own),
            wanted=_in_words(wanted),
        )


def _in_words(gates: list[tuple[str, ...]]) -> str:
    return " + ".join(f"({', '.join(experts)})" for experts in gates)


def check_origin(
    manifest: Manifest, model_fingerprint: str | None, embedder_hash: str | None
) -> None:
    """Refuse a set that was made with another model or embedder.

    Raises
    ------
    ReferenceSetError
        It names the command that builds the set again.
    """
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
