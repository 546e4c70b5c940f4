"""Condense: a small set that keeps most of the gain, and the curve of size against accuracy.

Samples are taken in the order in which each covers most of what the others do not: the greedy
solution of the k-medoids (facility location) problem in the space of the task embedding joined with
the routing, within 1 − 1/e of the best (Nemhauser, Wolsey and Fisher 1978). The order is nested, so
that one run gives every size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from r2t2_core.curation.checks.neighbourhood import Bench
from r2t2_core.errors import Cancelled, ReferenceSetError
from r2t2_core.evaluation.prepared import PreparedSuite, run_suite
from r2t2_core.evaluation.statistics import wilson_interval
from r2t2_core.i18n import N_
from r2t2_core.reference.index import ReferenceIndex

SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000)

CANDIDATES = 6000
"""Samples that are compared with one another at most; above, so many are drawn."""

ROUTING_SHARE = 0.5
"""Weight of the routings' likeness; the rest is that of the questions."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SizePoint:
    """Accuracy with a set of a size.

    Attributes
    ----------
    size : int
    accuracy, low, high : float
        With the condensed set, and its 95 % Wilson interval.
    random_accuracy : float
        With as many samples drawn at random.
    cases : int
    """

    size: int
    accuracy: float
    low: float
    high: float
    random_accuracy: float
    cases: int


@dataclass(frozen=True)
class Condensed:
    """The order of the samples, and what each size gives.

    Attributes
    ----------
    order : ndarray (m,), int64
        Rows of the set, the most telling first.
    points : tuple of SizePoint
    router_accuracy, whole_accuracy : float
        Without re-routing, and with the whole set.
    """

    order: np.ndarray
    points: tuple[SizePoint, ...]
    router_accuracy: float
    whole_accuracy: float

    def smallest(self, share: float) -> int:
        """Return the least measured size that keeps a share of the whole set's gain.

        Raises
        ------
        ReferenceSetError
            None of them does.
        """
        wanted = self.router_accuracy + share * (self.whole_accuracy - self.router_accuracy)
        for point in self.points:
            if point.accuracy >= wanted:
                return point.size
        raise ReferenceSetError(
            N_("No measured size keeps {share:.0%} of the gain."),
            N_("Name a size, or ask for less."),
            share=share,
        )


def order_samples(
    embeddings: np.ndarray,
    routing: np.ndarray,
    count: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Return places (count,) in the order in which each covers most of what is left.

    Parameters
    ----------
    embeddings : ndarray (n, d)
        Of unit length.
    routing : ndarray (n, E)
    count : int
    cancelled : callable
        Asked at every step.
    """
    likeness = (1 - ROUTING_SHARE) * (embeddings @ embeddings.T)
    for start in range(0, len(routing), 200):
        part = np.abs(routing[start : start + 200, None, :] - routing[None]).sum(-1)
        likeness[start : start + 200] += ROUTING_SHARE * (1 - part / 2)
    best = np.zeros(len(embeddings), dtype=likeness.dtype)
    # Lazy greedy (Minoux 1978): a gain can only fall, so that most need not be computed anew.
    gains = np.maximum(likeness, 0).sum(1)
    chosen: list[int] = []
    while len(chosen) < min(count, len(embeddings)):
        if cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        while True:
            place = int(gains.argmax())
            gain = float(np.maximum(likeness[place] - best, 0).sum())
            fresh = gain >= float(gains[place]) - 1e-6
            gains[place] = gain
            if fresh:
                break
        chosen.append(place)
        best = np.maximum(best, likeness[place])
        gains[place] = -np.inf
    return np.array(chosen, dtype=np.int64)


def condense(
    bench: Bench,
    suites: Sequence[PreparedSuite],
    sizes: Sequence[int] = SIZES,
    *,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Condensed:
    """Order the samples, and measure accuracy over suites at several sizes.

    Parameters
    ----------
    bench : Bench
        The set, and how it is asked.
    suites : sequence of PreparedSuite
        On which accuracy is measured; they should not be those that chose anything.
    sizes : sequence of int
    progress : callable
        Called with sizes done and sizes in all.
    cancelled : callable

    Raises
    ------
    Cancelled
        `cancelled()` said so.
    """
    reference, policy = bench.reference, bench.retrieval.policy
    admitted = np.flatnonzero(reference.eligible(policy))
    generator = np.random.default_rng(bench.seed)
    if len(admitted) > CANDIDATES:
        admitted = np.sort(generator.choice(admitted, CANDIDATES, replace=False))
    wanted = sorted({size for size in sizes if 0 < size < len(admitted)})
    routing = reference.routing_for(policy)[admitted]
    most = max(wanted, default=0)
    places = order_samples(reference.embeddings[admitted], routing, most, cancelled)
    order = admitted[places]
    drawn = generator.permutation(admitted)
    total = len(wanted) + 1
    router, whole = _accuracy(bench, None, suites)
    progress(1, total)
    points = []
    for number, size in enumerate(wanted, start=2):
        if cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        _router, right = _accuracy(bench, order[:size], suites)
        _router, random = _accuracy(bench, drawn[:size], suites)
        low, high = wilson_interval(int(right.sum()), len(right))
        points.append(
            SizePoint(size, float(right.mean()), low, high, float(random.mean()), len(right))
        )
        progress(number, total)
    return Condensed(order, tuple(points), float(router.mean()), float(whole.mean()))


def _accuracy(
    bench: Bench, rows: np.ndarray | None, suites: Sequence[PreparedSuite]
) -> tuple[np.ndarray, np.ndarray]:
    """Return right/wrong of the router and of the default strategy, over all suites together."""
    engine = bench.engine
    strategy = engine.default_strategy
    values = {strategy: engine.default_parameters(strategy)}
    index = bench.index
    if rows is not None:
        index = ReferenceIndex(bench.reference.variant(rows, about=f"{len(rows)} samples"))
    parts = [run_suite(engine.model, index, suite, bench.retrieval, values) for suite in suites]
    return (
        np.concatenate([part["base"] for part in parts]),
        np.concatenate([part[strategy] for part in parts]),
    )
