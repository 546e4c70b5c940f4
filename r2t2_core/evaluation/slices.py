"""Slices of a run where it goes wrong more often than elsewhere, with what chance would do.

A slice is one to three conditions on what a case is: its family, style, answer, language, phrasing
and how dense the reference set is around it. Every slice with enough cases is looked at, and the
p-values are corrected for all of these looks (Holm), not only for those that are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from r2t2_core.evaluation.statistics import holm, wilson_interval

FEATURES = ("family", "style", "answer", "language", "phrasing", "density")

LEAST = 20
"""Cases that a slice needs."""

DEPTH = 3
"""Conditions that a slice has at most."""

DENSITIES = ("sparse", "middle", "dense")

PHRASING_SHARE = 0.01
"""Share of all questions that must share an opening for it to be a phrasing of its own."""

MOST_WORDS = 6
MOST_SIGNS = 12

OTHER = "…"
"""Phrasing of a question that begins like few others."""

Conditions = tuple[tuple[str, str], ...]
"""Feature and value of each condition, in the order of the features."""


@dataclass(frozen=True)
class Slice:
    """Cases that share one to three conditions.

    Attributes
    ----------
    conditions : Conditions
    cases, events : int
        Cases of the slice that are at risk, and those of them to which it happened.
    low, high : float
        95 % Wilson interval of the share, of this slice alone.
    rest : float
        Share among all other cases at risk.
    excess : float
        Events beyond what the slice would have with the rest's share: what ranks it.
    p_value, p_adjusted : float
        Exact one-sided (hypergeometric) test that events are no more frequent here than elsewhere;
        and corrected for all looks.
    """

    conditions: Conditions
    cases: int
    events: int
    low: float
    high: float
    rest: float
    excess: float
    p_value: float
    p_adjusted: float

    @property
    def share(self) -> float:
        """Share of events."""
        return self.events / self.cases


@dataclass(frozen=True)
class SliceReport:
    """What a search for slices found.

    Attributes
    ----------
    slices : tuple of Slice
        Those worse than the rest, the largest excess first; a slice with more conditions only
        where its interval lies above the share of every shorter slice that holds it.
    looks : int
        Slices that were tested: what the correction is for.
    cases, events : int
        At risk in all.
    """

    slices: tuple[Slice, ...]
    looks: int
    cases: int
    events: int


def describe(table: pd.DataFrame) -> pd.DataFrame:
    """Return what slices are made of: one column of words for each feature.

    Parameters
    ----------
    table : DataFrame
        Columns family, style, label, language, question, text_similarity.
    """
    return pd.DataFrame(
        {
            "family": table["family"],
            "style": table["style"],
            "answer": table["label"],
            "language": table["language"],
            "phrasing": phrasings(table["question"].tolist()),
            "density": densities(table["text_similarity"].to_numpy(dtype=float)),
        }
    ).astype(str)


def densities(similarity: np.ndarray) -> list[str]:
    """Part cases into thirds by the similarity (N,) of their nearest reference question.

    The distance to the nearest sample is the simplest estimate of a density. Equal similarities
    stay together, so that a third may be larger or stay empty; an empty word where there is none.
    """
    rounded = np.round(similarity, 4)
    known = rounded[np.isfinite(rounded)]
    if not len(known):
        return [""] * len(similarity)
    lower, upper = np.quantile(known, [1 / 3, 2 / 3])
    places = (rounded >= lower).astype(int) + (rounded >= upper)
    return [
        DENSITIES[place] if np.isfinite(value) else ""
        for place, value in zip(places, rounded, strict=True)
    ]


def phrasings(questions: Sequence[str]) -> list[str]:
    """Return each question's phrasing: the longest opening that enough questions share.

    As question types are told in VQA (Antol et al. 2015), by their first words, here as many as
    the questions themselves bear out. In a language without spaces (Japanese) what tells is the
    end, and signs count instead of words.
    """
    least = max(LEAST, round(PHRASING_SHARE * len(questions)))
    parts = {text: _parts(text) for text in dict.fromkeys(questions)}
    counts: Counter[tuple[str, ...]] = Counter()
    for text, number in Counter(questions).items():
        for length in range(1, len(parts[text]) + 1):
            counts[parts[text][:length]] += number
    named = {text: _opening(text, parts[text], counts, least) for text in parts}
    return [named[text] for text in questions]


def find_slices(
    features: pd.DataFrame, at_risk: np.ndarray, event: np.ndarray, depth: int = DEPTH
) -> SliceReport:
    """Find slices in which something happens more often than in the rest.

    Parameters
    ----------
    features : DataFrame (N rows)
        Words; a condition is never an empty word.
    at_risk : ndarray (N,), bool
        Cases to which it could happen.
    event : ndarray (N,), bool
        Cases to which it happened.
    depth : int
        Conditions at most.
    """
    rows = np.flatnonzero(at_risk)
    happened = event[rows]
    count, events = len(rows), int(happened.sum())
    if not events or events == count:
        return SliceReport((), 0, count, events)
    names = list(features.columns)
    codes = [pd.factorize(features[name].to_numpy()[rows]) for name in names]
    found = _look(names, codes, happened, depth)
    if not found:
        return SliceReport((), 0, count, events)
    keys = list(found)
    inside = np.array([found[key][0] for key in keys])
    hits = np.array([found[key][1] for key in keys])
    p_values = hypergeom.sf(hits - 1, count, events, inside)
    adjusted = holm(p_values)
    rest = (events - hits) / np.maximum(count - inside, 1)
    excess = hits - inside * rest
    slices = []
    for place in np.argsort(-excess, kind="stable").tolist():
        low, high = wilson_interval(int(hits[place]), int(inside[place]))
        # Where a slice is no worse than the rest, neither are those that follow.
        if excess[place] <= 0:
            break
        if any(found[short][1] / found[short][0] >= low for short in _shorter(keys[place])
               if short in found):  # fmt: skip
            continue
        slices.append(
            Slice(keys[place], int(inside[place]), int(hits[place]), low, high, float(rest[place]),
                  float(excess[place]), float(p_values[place]), float(adjusted[place]))
        )  # fmt: skip
    return SliceReport(tuple(slices), len(found), count, events)


def rows_of(conditions: Conditions, features: pd.DataFrame) -> np.ndarray:
    """Return which cases (N,), bool, meet all conditions."""
    inside = np.ones(len(features), dtype=bool)
    for name, value in conditions:
        inside &= (features[name] == value).to_numpy()
    return inside


def _look(
    names: Sequence[str],
    codes: Sequence[tuple[np.ndarray, np.ndarray]],
    happened: np.ndarray,
    depth: int,
) -> dict[Conditions, tuple[int, int]]:
    """Return cases and events of every slice with enough cases, shorter ones first.

    A slice that holds the same cases as a shorter one is that one, and what holds all cases is no
    slice: both are left out.
    """
    found: dict[Conditions, tuple[int, int]] = {}
    for length in range(1, depth + 1):
        for chosen in combinations(range(len(names)), length):
            joint = np.zeros(len(happened), dtype=np.int64)
            for place in chosen:
                joint = joint * len(codes[place][1]) + codes[place][0]
            values, inverse, counts = np.unique(joint, return_inverse=True, return_counts=True)
            hits = np.bincount(inverse.reshape(-1), weights=happened, minlength=len(values))
            for number in np.flatnonzero(counts >= LEAST):
                key = _decode(int(values[number]), chosen, names, codes)
                size = int(counts[number])
                if size == len(happened) or not all(value for _name, value in key):
                    continue
                if any(found.get(short, (0, 0))[0] == size for short in _shorter(key)):
                    continue
                found[key] = (size, int(hits[number]))
    return found


def _decode(
    value: int,
    chosen: Sequence[int],
    names: Sequence[str],
    codes: Sequence[tuple[np.ndarray, np.ndarray]],
) -> Conditions:
    """Return the conditions that a joint code stands for."""
    conditions = []
    for place in reversed(chosen):
        value, rest = divmod(value, len(codes[place][1]))
        conditions.append((names[place], str(codes[place][1][rest])))
    return tuple(reversed(conditions))


def _shorter(conditions: Conditions) -> list[Conditions]:
    """Return all slices with fewer of the conditions, that hold this one."""
    return [
        short for length in range(1, len(conditions)) for short in combinations(conditions, length)
    ]


def _parts(text: str) -> tuple[str, ...]:
    """Return what an opening grows by: words from the start, or signs from the end."""
    plain = text.strip().lower()
    if _without_spaces(plain):
        return tuple(reversed(plain))[:MOST_SIGNS]
    return tuple(plain.split())[:MOST_WORDS]


def _without_spaces(text: str) -> bool:
    """Tell a text in Chinese or Japanese signs."""
    return any("\u3040" <= sign <= "\u30ff" or "\u4e00" <= sign <= "\u9fff" for sign in text)


def _opening(
    text: str, parts: tuple[str, ...], counts: Counter[tuple[str, ...]], least: int
) -> str:
    length = next((size for size in range(len(parts), 0, -1) if counts[parts[:size]] >= least), 0)
    if not length:
        return OTHER
    plain = text.strip().lower()
    if _without_spaces(plain):
        ending = "".join(reversed(parts[:length]))
        return ending if ending == plain else f"{OTHER}{ending}"
    opening = " ".join(parts[:length])
    return opening if opening == " ".join(plain.split()) else f"{opening} {OTHER}"
