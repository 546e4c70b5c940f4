"""Approximate retrieval over very many references, against exact retrieval."""

from __future__ import annotations

import time
from dataclasses import dataclass

import faiss
import numpy as np

from benchmarks.measuring import quantile, resident_bytes

QUERIES = 300
TOP = 5
WANTED = 0.99
JITTER = 0.02
CHUNK = 50_000


@dataclass(frozen=True)
class RetrievalResult:
    """What was found.

    Attributes
    ----------
    references, dimension : int
    lists, looked_at : int
        Inverted lists, and how many of them a query looks at.
    recall : float
        Share of the five truly nearest that are found.
    p50, p99, exact_p50 : float
        Seconds for one query.
    build_seconds : float
    bytes_per_reference : float or None
        Growth of the process while the index was made, over the references.
    """

    references: int
    dimension: int
    lists: int
    looked_at: int
    recall: float
    p50: float
    p99: float
    exact_p50: float
    build_seconds: float
    bytes_per_reference: float | None


def jittered(embeddings: np.ndarray, start: int, count: int, seed: int) -> np.ndarray:
    """Return `count` embeddings: real ones, repeated, each moved a little, of unit length."""
    generator = np.random.default_rng([seed, start])
    chosen = embeddings[np.arange(start, start + count) % len(embeddings)]
    moved = chosen + JITTER * generator.standard_normal(chosen.shape, dtype=np.float32)
    unit: np.ndarray = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def large_retrieval(embeddings: np.ndarray, references: int) -> RetrievalResult:
    """Build an index over so many references (inverted lists), and time one query at a time.

    Queries are jittered embeddings as well, of another seed.
    """
    dimension = embeddings.shape[1]
    before, began = resident_bytes(), time.perf_counter()
    lists = max(16, 1 << int(np.log2(4 * np.sqrt(references))))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = 8
    index.train(jittered(embeddings, 0, min(references, 40 * lists), seed=1))
    for start in range(0, references, CHUNK):
        index.add(jittered(embeddings, start, min(CHUNK, references - start), seed=1))
    built = time.perf_counter() - began
    after = resident_bytes()
    generator = np.random.default_rng(2)
    drawn = generator.integers(0, len(embeddings), QUERIES)
    queries = np.concatenate([jittered(embeddings, int(row), 1, seed=3) for row in drawn])
    exact_seconds, truth = _exact(embeddings, references, queries)
    looked_at = 1
    while True:
        index.nprobe = looked_at
        found = index.search(queries, TOP)[1]
        hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
        recall = sum(hits) / truth.size
        if recall >= WANTED or looked_at >= lists:
            break
        looked_at *= 2
    seconds = []
    for query in queries:
        began = time.perf_counter()
        index.search(query[None], TOP)
        seconds.append(time.perf_counter() - began)
    grown = None if before is None or after is None else (after - before) / references
    return RetrievalResult(
        references, dimension, lists, looked_at, recall, quantile(seconds, 0.5),
        quantile(seconds, 0.99), exact_seconds, built, grown,
    )  # fmt: skip


def _exact(
    embeddings: np.ndarray, references: int, queries: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the median seconds of one exact query, and the truly nearest (Q, 5)."""
    heap = faiss.ResultHeap(len(queries), TOP, keep_max=True)
    alone = []
    for start in range(0, references, CHUNK):
        part = jittered(embeddings, start, min(CHUNK, references - start), seed=1)
        flat = faiss.IndexFlatIP(part.shape[1])
        flat.add(part)
        heap.add_result(*_moved(flat.search(queries, TOP), start))
        repeats = []
        for query in queries[:5]:
            began = time.perf_counter()
            flat.search(query[None], TOP)
            repeats.append(time.perf_counter() - began)
        alone.append(quantile(repeats, 0.5))
    heap.finalize()
    return sum(alone), heap.I


def _moved(found: tuple[np.ndarray, np.ndarray], by: int) -> tuple[np.ndarray, np.ndarray]:
    similarity, places = found
    return similarity, places + by
