"""Search by inner product (FAISS): exact up to 10⁵ samples, approximate above.

Up to `EXACT_UP_TO` samples all are compared. Above, a graph (HNSW, Malkov and Yashunin 2018) up to
`GRAPH_UP_TO`, then inverted lists (IVF, Jégou et al. 2011). How many of the truly nearest an
approximate search finds is measured on the set's own samples when the index is made, its effort is
raised until `WANTED_RECALL` is reached, and both are kept beside the version:

    search/<policy>.faiss, search/<policy>.json

They are derived data and no part of the content hash. A version that only adds samples to its
parent takes the parent's index over and adds to it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from r2t2_core.reference.manifest import SHORT, Manifest
from r2t2_core.reference.store import ReferenceSet

EXACT_UP_TO = 100_000
GRAPH_UP_TO = 300_000

WANTED_RECALL = 0.95
RECALL_AT = 20
RECALL_QUERIES = 200

LINKS = 32
"""Neighbours of a node in the graph."""

TRAINING_POINTS = 64
"""Samples for each inverted list, from which the lists' centres are learnt."""


@dataclass(frozen=True)
class SearchReport:
    """How a set is searched.

    Attributes
    ----------
    kind : str
        `exact`, `graph` or `lists`.
    size : int
    effort : int
        Nodes or lists that a query looks at; 0 for exact.
    recall : float
        Share of the 20 truly nearest that is found, measured; 1 for exact.
    queries : int
        Samples that the recall was measured with, slightly moved.
    taken_over : int
        Samples that were in the parent's index already.
    """

    kind: str
    size: int
    effort: int = 0
    recall: float = 1.0
    queries: int = 0
    taken_over: int = 0


class TextSearch:
    """A FAISS index with a report of how good it is."""

    def __init__(self, index: faiss.Index, report: SearchReport) -> None:
        self.index = index
        self.report = report
        self.size: int = index.ntotal

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return similarity and place (B, count) of the nearest, nearest first."""
        found: tuple[np.ndarray, np.ndarray] = self.index.search(queries, count)
        if (found[1] < 0).any():
            # Too few in the lists that were looked at: compare with all.
            found = _exhaustive(self.index, queries, count)
        return found


def open_search(reference: ReferenceSet, policy: str, rows: np.ndarray) -> TextSearch:
    """Make, or read, the search over some rows (n,) of a set."""
    vectors = reference.embeddings
    if len(rows) <= EXACT_UP_TO:
        exact = faiss.IndexFlatIP(vectors.shape[1])
        exact.add(np.ascontiguousarray(vectors[rows]))
        return TextSearch(exact, SearchReport("exact", len(rows)))
    folder = reference.root / "search"
    stored = _read(folder, policy, len(rows)) if len(reference.layers) == 1 else None
    if stored is not None:
        return stored
    parent = _parent(reference, policy) if len(reference.layers) == 1 else None
    if parent is not None and parent.size < len(rows):
        index, taken = parent.index, parent.size
        _add(index, vectors, rows[taken:])
        kind = parent.report.kind
    else:
        kind, taken = ("graph" if len(rows) <= GRAPH_UP_TO else "lists"), 0
        index = _train(kind, vectors, rows)
        _add(index, vectors, rows)
    report = _measure(index, kind, vectors, rows, taken)
    made = TextSearch(index, report)
    if len(reference.layers) == 1 and reference.manifest.file_hashes:
        _write(folder, policy, made)
    return made


def read_reports(root: Path) -> dict[str, SearchReport]:
    """Return what was measured and stored with a version, by policy."""
    return {
        path.stem: SearchReport(**json.loads(path.read_text(encoding="utf-8")))
        for path in sorted((root / "search").glob("*.json"))
    }


def _train(kind: str, vectors: np.ndarray, rows: np.ndarray) -> faiss.Index:
    dimension = vectors.shape[1]
    if kind == "graph":
        graph = faiss.IndexHNSWFlat(dimension, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 80
        return graph
    lists = 1 << int(np.log2(4 * np.sqrt(len(rows))))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = 8
    drawn = np.random.default_rng(0).choice(
        len(rows), min(len(rows), TRAINING_POINTS * lists), replace=False
    )
    index.train(np.ascontiguousarray(vectors[rows[np.sort(drawn)]]))
    return index


def _add(index: faiss.Index, vectors: np.ndarray, rows: np.ndarray, batch: int = 50_000) -> None:
    """Add in batches, so that a memory-mapped set is never whole in memory twice."""
    for start in range(0, len(rows), batch):
        index.add(np.ascontiguousarray(vectors[rows[start : start + batch]]))


def _measure(
    index: Any, kind: str, vectors: np.ndarray, rows: np.ndarray, taken: int
) -> SearchReport:
    """Raise the effort until enough of the truly nearest are found; say how many are."""
    generator = np.random.default_rng(1)
    drawn = generator.choice(len(rows), min(RECALL_QUERIES, len(rows)), replace=False)
    queries = vectors[rows[drawn]] + 0.02 * generator.standard_normal(
        (len(drawn), vectors.shape[1]), dtype=np.float32
    )
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    _similarity, truth = _nearest(vectors, rows, queries, RECALL_AT)
    most = index.nlist if kind == "lists" else len(rows)
    effort = 8 if kind == "lists" else 64
    while True:
        _set_effort(index, kind, effort)
        _scores, found = index.search(queries, RECALL_AT)
        hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
        recall = sum(hits) / truth.size
        if recall >= WANTED_RECALL or effort >= most:
            break
        effort = min(2 * effort, most)
    return SearchReport(kind, len(rows), effort, recall, len(drawn), taken)


def _set_effort(index: Any, kind: str, effort: int) -> None:
    if kind == "lists":
        index.nprobe = effort
    else:
        index.hnsw.efSearch = effort


def _nearest(
    vectors: np.ndarray, rows: np.ndarray, queries: np.ndarray, count: int, batch: int = 50_000
) -> tuple[np.ndarray, np.ndarray]:
    """Return the truly nearest, by comparing with all, in batches."""
    heap = faiss.ResultHeap(len(queries), count, keep_max=True)
    for start in range(0, len(rows), batch):
        part = faiss.IndexFlatIP(vectors.shape[1])
        part.add(np.ascontiguousarray(vectors[rows[start : start + batch]]))
        similarity, places = part.search(queries, min(count, part.ntotal))
        heap.add_result(similarity, places + start)
    heap.finalize()
    return heap.D, heap.I


def _exhaustive(
    index: faiss.Index, queries: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    vectors = index.reconstruct_n(0, index.ntotal)
    return _nearest(vectors, np.arange(index.ntotal), queries, count)


def _read(folder: Path, policy: str, size: int) -> TextSearch | None:
    path = folder / f"{policy}.json"
    if not path.is_file():
        return None
    report = SearchReport(**json.loads(path.read_text(encoding="utf-8")))
    index = faiss.read_index(str(folder / f"{policy}.faiss"))
    if index.ntotal != size or report.size != size:
        return None
    _set_effort(index, report.kind, report.effort)
    return TextSearch(index, report)


def _parent(reference: ReferenceSet, policy: str) -> TextSearch | None:
    """Return the parent's index, where this version only adds to it."""
    tables = reference.manifest.files("samples")
    if len(tables) < 2 or not reference.manifest.parents:
        return None
    root = reference.root.parent / reference.manifest.parents[0][:SHORT]
    folder = root / "search"
    path = folder / f"{policy}.json"
    if not path.is_file() or not (root / "manifest.json").is_file():
        return None
    parent = Manifest.model_validate_json((root / "manifest.json").read_bytes())
    own = reference.manifest.file_hashes
    if any(own.get(name) != parent.file_hashes[name] for name in parent.files("samples")):
        # Samples were taken out as well: the parent's rows are not this version's first rows.
        return None
    return _read(folder, policy, json.loads(path.read_text(encoding="utf-8"))["size"])


def _write(folder: Path, policy: str, made: TextSearch) -> None:
    """Write whole or not at all; the report last, since it says that the index is there."""
    folder.mkdir(exist_ok=True)
    for name, write in (
        (f"{policy}.faiss", lambda path: faiss.write_index(made.index, str(path))),
        (f"{policy}.json", lambda path: path.write_text(json.dumps(asdict(made.report)) + "\n")),
    ):
        temporary = folder / f"{name}.tmp"
        write(temporary)
        os.replace(temporary, folder / name)
