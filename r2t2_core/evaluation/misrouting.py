"""Which cases of a run were misrouted, from which expert to which, and who repairs them.

A case is misrouted where the router's answer is wrong and the answer under a better routing of the
same frozen model is right. The better routing is that of a ceiling of the run: the oracle, which
sees the label, or each question's own expert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from r2t2_core.errors import RunError
from r2t2_core.evaluation.metrics import BASE
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.statistics import wilson_interval
from r2t2_core.i18n import N_

CEILINGS = ("oracle", "own_expert")

SMALLEST_PROBABILITY = 1e-7
"""Keeps the loss of an answer that was held impossible finite."""

SHARED = (
    "suite", "sample", "family", "style", "language", "question", "image", "label",
    "in_vocabulary", "text_similarity",
)  # fmt: skip


@dataclass(frozen=True)
class Cases:
    """The rows of a run, one for each case: N cases, M methods, E experts.

    Attributes
    ----------
    run_key : str
        Names the run.
    experts, methods : tuple of str
        Names in the order of the arrays; the first method is the router.
    table : DataFrame (N rows)
        What a case is: suite, sample, family, style, language, question, image, label, and `case`,
        which names it whatever the run (content hash of its suite, and its id there).
    right, admitted : ndarray (N, M), bool
        The answer is right; the gate lets it stand.
    answer : ndarray (N, M) of str
    probability : ndarray (N, M), float32
        Of the answer.
    loss : ndarray (N, M), float32
        −ln of the label's probability, in nats; NaN where the label is no answer of the model.
    routing : ndarray (N, M, E), float32
        Dense, at the end of a method.
    """

    run_key: str
    experts: tuple[str, ...]
    methods: tuple[str, ...]
    table: pd.DataFrame
    right: np.ndarray
    admitted: np.ndarray
    answer: np.ndarray
    probability: np.ndarray
    loss: np.ndarray
    routing: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ceilings(self) -> tuple[str, ...]:
        """Methods of the run that can say what a better routing would have been."""
        found = [method for name in CEILINGS for method in self.methods if _name_of(method) == name]
        return tuple(found)

    @property
    def repairers(self) -> tuple[str, ...]:
        """Methods that could have been used: neither the router nor a ceiling."""
        known = {BASE, *self.ceilings}
        return tuple(method for method in self.methods if method not in known)

    def place(self, method: str) -> int:
        """Return a method's place in the arrays.

        Raises
        ------
        RunError
            The run does not hold it.
        """
        if method not in self.methods:
            raise RunError(
                N_("The run holds no answers of {method}."),
                N_("Choose another run, or evaluate again with this method."),
                method=method,
            )
        return self.methods.index(method)

    def right_after(self, method: str, gated: bool) -> np.ndarray:
        """Return right/wrong (N,), bool, of a method; gated: the router's where it is refused."""
        own = self.right[:, self.place(method)]
        if not gated:
            return own
        chosen: np.ndarray = np.where(self.admitted[:, self.place(method)], own, self.right[:, 0])
        return chosen


def load_cases(run: Run) -> Cases:
    """Read a run.

    Raises
    ------
    RunError
        A case lacks the answer of a method.
    """
    columns = [*SHARED, "method", "right", "admitted", "answer", "probability",
               "label_probability", "routing"]  # fmt: skip
    stored = pq.read_table(run.folder / "results.parquet", columns=columns)
    routing = stored["routing"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    rows = stored.drop_columns(["routing"]).to_pandas()
    methods = tuple(str(method["spec"]) for method in run.about["methods"])
    of_method = pd.Index(methods).get_indexer(rows["method"])
    of_case, _names = pd.factorize(rows["suite"].astype(str) + "\0" + rows["sample"].astype(str))
    count, width = int(of_case.max()) + 1, len(methods)
    if len(rows) != count * width or (of_method < 0).any():
        raise RunError(
            N_("The run in {folder} does not hold every method's answer to every case."),
            N_("Evaluate again."),
            folder=run.folder.name,
        )
    place = np.empty(len(rows), dtype=np.int64)
    place[of_case * width + of_method] = np.arange(len(rows))
    grid = place.reshape(count, width)

    def spread(name: str) -> np.ndarray:
        values: np.ndarray = rows[name].to_numpy()[grid]
        return values

    loss = -np.log(np.maximum(spread("label_probability").astype(np.float32), SMALLEST_PROBABILITY))
    table = rows.iloc[grid[:, 0]][list(SHARED)].reset_index(drop=True)
    hashes = {str(suite["name"]): str(suite["content_hash"]) for suite in run.about["suites"]}
    table["case"] = table["suite"].map(hashes).str[:16] + "/" + table["sample"].astype(str)
    loss[~table["in_vocabulary"].to_numpy(dtype=bool)] = np.nan
    return Cases(
        run_key=str(run.about["key"])[:12],
        experts=tuple(run.about["experts"]),
        methods=methods,
        table=table,
        right=spread("right").astype(bool),
        admitted=spread("admitted").astype(bool),
        answer=spread("answer"),
        probability=spread("probability").astype(np.float32),
        loss=loss,
        routing=routing.reshape(len(rows), -1)[grid].astype(np.float32),
    )


@dataclass(frozen=True)
class Misrouting:
    """What was misrouted, under one ceiling: arrays over all N cases of a run.

    Attributes
    ----------
    ceiling : str
    misrouted : ndarray (N,), bool
    hopeless : ndarray (N,), bool
        Wrong under the router, and wrong under the ceiling too.
    router_expert, right_expert : ndarray (N,), int
        The heaviest expert of the router's routing, and of the ceiling's.
    regret : ndarray (N,), float32
        Loss under the router less loss under the ceiling, in nats; NaN where the label is no
        answer of the model.
    """

    ceiling: str
    misrouted: np.ndarray
    hopeless: np.ndarray
    router_expert: np.ndarray
    right_expert: np.ndarray
    regret: np.ndarray


def find_misrouted(cases: Cases, ceiling: str | None = None) -> Misrouting:
    """Find what was misrouted.

    Parameters
    ----------
    cases : Cases
    ceiling : str, optional
        The oracle by default, or what the run holds instead.

    Raises
    ------
    RunError
        The run holds no ceiling.
    """
    if not cases.ceilings:
        raise RunError(
            N_("The run does not say what a better routing would have been."),
            N_("Evaluate again with the oracle among the methods."),
        )
    ceiling = ceiling or cases.ceilings[0]
    best = cases.place(ceiling)
    router, above = cases.right[:, 0], cases.right[:, best]
    return Misrouting(
        ceiling,
        ~router & above,
        ~router & ~above,
        cases.routing[:, 0].argmax(1),
        cases.routing[:, best].argmax(1),
        cases.loss[:, 0] - cases.loss[:, best],
    )


def expert_flows(found: Misrouting, chosen: np.ndarray, experts: int) -> np.ndarray:
    """Count misrouted cases from the router's expert (rows) to the right one (columns): (E, E).

    Parameters
    ----------
    found : Misrouting
    chosen : ndarray (N,), bool
        Cases that count.
    experts : int
    """
    rows = np.flatnonzero(found.misrouted & chosen)
    counts = np.zeros((experts, experts), dtype=np.int64)
    np.add.at(counts, (found.router_expert[rows], found.right_expert[rows]), 1)
    return counts


@dataclass(frozen=True)
class Repair:
    """What one method does with misrouted cases.

    Attributes
    ----------
    method : str
    misrouted, repaired : int
    low, high : float
        95 % Wilson interval of the share repaired.
    at_risk, broken : int
        Cases that the router answers rightly, and those of them that the method makes wrong.
    """

    method: str
    misrouted: int
    repaired: int
    low: float
    high: float
    at_risk: int
    broken: int

    @property
    def share(self) -> float:
        """Share of the misrouted cases that are repaired."""
        return self.repaired / self.misrouted


def repairs(cases: Cases, found: Misrouting, chosen: np.ndarray, gated: bool) -> list[Repair]:
    """Return what each usable method repairs and breaks among chosen cases (N,), bool; the best
    first. Empty where none of them is misrouted."""
    wrong, safe = found.misrouted & chosen, cases.right[:, 0] & chosen
    count = int(wrong.sum())
    if not count:
        return []
    result = []
    for method in cases.repairers:
        after = cases.right_after(method, gated)
        repaired = int(after[wrong].sum())
        low, high = wilson_interval(repaired, count)
        broken = int((~after[safe]).sum())
        result.append(Repair(method, count, repaired, low, high, int(safe.sum()), broken))
    return sorted(result, key=lambda entry: -entry.repaired)


def flow_table(
    cases: Cases, found: Misrouting, chosen: np.ndarray, methods: tuple[str, ...], gated: bool
) -> pd.DataFrame:
    """Return the flows that occur, the largest first.

    Columns `source`, `target` (places of experts), `count`, and for each method the share of the
    flow's cases that it repairs.
    """
    rows = np.flatnonzero(found.misrouted & chosen)
    frame = pd.DataFrame(
        {"source": found.router_expert[rows], "target": found.right_expert[rows], "count": 1}
        | {method: cases.right_after(method, gated)[rows] for method in methods}
    )
    how: Mapping[str, str] = {"count": "sum"} | dict.fromkeys(methods, "mean")
    table = frame.groupby(["source", "target"], as_index=False).agg(how)
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def by_family_and_style(cases: Cases, found: Misrouting) -> pd.DataFrame:
    """Return cases, wrong and misrouted answers for each family and style, most misrouted first."""
    frame = cases.table[["family", "style"]].assign(
        cases=1, wrong=~cases.right[:, 0], misrouted=found.misrouted
    )
    table = frame.groupby(["family", "style"], as_index=False).sum()
    return table.sort_values("misrouted", ascending=False, kind="stable", ignore_index=True)


def _name_of(method: str) -> str:
    """Return the strategy or baseline that a method's line names."""
    return method.split(":")[0].split("@")[0]
