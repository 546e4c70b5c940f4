"""Refresh: new labelled samples are screened, staged, compared on a hold-out, and then promoted.

    candidates → screen → staging version → paired comparison on a hold-out → promote or refuse

What was found is recorded with the decision, whoever took it: a person, or a policy.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from r2t2_core.curation.checks.duplicates import check_leakage
from r2t2_core.curation.checks.finding import Thresholds
from r2t2_core.curation.checks.harm import measure_influence
from r2t2_core.curation.checks.labels import suspicious_labels
from r2t2_core.curation.checks.neighbourhood import Bench, near_duplicates
from r2t2_core.engine import Engine
from r2t2_core.errors import ParameterError, ReferenceSetError
from r2t2_core.evaluation.prepared import PreparedSuite, run_suite
from r2t2_core.evaluation.statistics import compare
from r2t2_core.i18n import N_
from r2t2_core.reference.edit import append, subset
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.library import STAGING, Library, Version, current_author
from r2t2_core.reference.store import ReferenceSet

Policy = Literal["never", "ask", "if_better"]

POLICIES: tuple[Policy, ...] = ("never", "ask", "if_better")

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Screening:
    """What became of the candidates.

    Attributes
    ----------
    candidates, kept : int
    duplicates, suspicious, leaking : tuple of str
        Identifiers that were left out, and why.
    """

    candidates: int
    kept: int
    duplicates: tuple[str, ...]
    suspicious: tuple[str, ...]
    leaking: tuple[str, ...]


@dataclass(frozen=True)
class SuiteComparison:
    """Staging against the version in force, on the same questions.

    Attributes
    ----------
    suite : str
    cases : int
    before, after : float
        Accuracy of the default strategy.
    better, worse : int
        Questions that only the staging version answers rightly, and only the one in force.
    p_value : float
        Exact McNemar test.
    """

    suite: str
    cases: int
    before: float
    after: float
    better: int
    worse: int
    p_value: float


@dataclass(frozen=True)
class Refreshed:
    """Outcome of a refresh.

    Attributes
    ----------
    staging : Version
    screening : Screening
    retired : tuple of str
        Samples of the version in force that no longer help.
    comparisons : tuple of SuiteComparison
        One for each suite, then all together.
    is_better, harms : bool
        All suites together are better by the paired test; one suite is worse by it.
    promoted : bool
    """

    staging: Version
    screening: Screening
    retired: tuple[str, ...]
    comparisons: tuple[SuiteComparison, ...]
    is_better: bool
    harms: bool
    promoted: bool

    def evidence(self) -> dict[str, Any]:
        """Return what is recorded with the decision."""
        return {
            "screening": asdict(self.screening),
            "retired": list(self.retired),
            "comparisons": [asdict(entry) for entry in self.comparisons],
            "is_better": self.is_better,
            "harms": self.harms,
        }


def screen(
    engine: Engine,
    base: ReferenceSet,
    candidates: ReferenceSet,
    suites: Sequence[PreparedSuite],
    retrieval: RetrievalParams,
    thresholds: Thresholds,
) -> tuple[np.ndarray, Screening]:
    """Return the candidates' rows that may enter, and what became of the others.

    Left out are near-duplicates of the set (and of earlier candidates), questions of the hold-out
    suites, and suspicious labels.
    """
    identifiers = [str(value) for value in candidates.column("id")]
    rows = np.arange(len(candidates))
    duplicates = _known(ReferenceIndex(base), candidates, rows, thresholds.duplicate_similarity)
    own = Bench(engine, candidates, ReferenceIndex(candidates), retrieval, 0, len(rows))
    leaking_ids = set(check_leakage(own, thresholds, suites).samples)
    leaking = np.array([identifier in leaking_ids for identifier in identifiers])
    # Judged by the set in force, which the candidates are not yet part of.
    judged = Bench(engine, candidates, ReferenceIndex(base), retrieval, 0, len(rows))
    suspicious = suspicious_labels(judged, rows).suspicious
    kept = ~(duplicates | leaking | suspicious)

    def named(mask: np.ndarray) -> tuple[str, ...]:
        return tuple(identifiers[row] for row in np.flatnonzero(mask))

    return np.flatnonzero(kept), Screening(
        len(rows), int(kept.sum()), named(duplicates), named(suspicious), named(leaking)
    )


def _known(
    index: ReferenceIndex, candidates: ReferenceSet, rows: np.ndarray, threshold: float
) -> np.ndarray:
    """Tell candidates that are alike, in text and picture, to a sample of the set."""
    _others, alike = near_duplicates(
        index, candidates.embeddings[rows], candidates.image_features[rows], threshold
    )
    return np.asarray(alike.any(1))


def compare_on(
    engine: Engine,
    before: ReferenceSet,
    after: ReferenceSet,
    suites: Sequence[PreparedSuite],
    retrieval: RetrievalParams,
) -> tuple[SuiteComparison, ...]:
    """Compare two sets on the same questions, suite by suite and all together."""
    strategy = engine.default_strategy
    values = {strategy: engine.default_parameters(strategy)}
    right = []
    for reference in (before, after):
        index = ReferenceIndex(reference)
        right.append(
            [run_suite(engine.model, index, suite, retrieval, values)[strategy] for suite in suites]
        )
    names = [suite.name for suite in suites]
    pairs = list(zip(*right, strict=True))
    if len(pairs) > 1:
        names.append("all")
        pairs.append((np.concatenate(right[0]), np.concatenate(right[1])))
    found = []
    for name, (old, new) in zip(names, pairs, strict=True):
        outcome = compare(old, new)
        found.append(
            SuiteComparison(
                name, outcome.cases, float(old.mean()), outcome.accuracy, outcome.fixed,
                outcome.broken, outcome.p_value,
            )
        )  # fmt: skip
    return tuple(found)


def refresh(
    engine: Engine,
    library: Library,
    name: str,
    candidates: ReferenceSet | None,
    holdout: Sequence[PreparedSuite],
    *,
    policy: str = "ask",
    retire_on: Sequence[PreparedSuite] = (),
    thresholds: Thresholds | None = None,
) -> Refreshed:
    """Stage a version with candidates, and without what no longer helps; compare; decide.

    Parameters
    ----------
    engine : Engine
        Its model, embedder and defaults.
    library : Library
    name : str
        The set that is refreshed.
    candidates : ReferenceSet or None
        New labelled samples, built with the same model and embedder.
    holdout : sequence of PreparedSuite
        On which the versions are compared; nothing else may be chosen on them.
    policy : str
        `never` promotes nothing, `ask` leaves it to a person, `if_better` promotes where the paired
        test says better and no suite is worse.
    retire_on : sequence of PreparedSuite
        On which harmful samples are found; none are retired where it is empty.
    thresholds : Thresholds, optional

    Raises
    ------
    ParameterError
        The policy is unknown, or a suite is both hold-out and judge of what is retired.
    ReferenceSetError
        Nothing would change.
    """
    if policy not in POLICIES:
        raise ParameterError(
            N_("There is no promotion policy called {name}."),
            N_("Choose one of: {known}."),
            name=policy,
            known=", ".join(POLICIES),
        )
    bounds = thresholds or Thresholds()
    base = ReferenceSet.load(library.find(name))
    chosen = base.manifest.policy or engine.default_retrieval.policy
    retrieval = engine.default_retrieval.model_copy(update={"policy": chosen})
    kept, retired = _without_harmful(engine, base, retire_on, retrieval)
    screening = Screening(0, 0, (), (), ())
    entering = np.zeros(0, np.int64)
    if candidates is not None:
        entering, screening = screen(engine, base, candidates, holdout, retrieval, bounds)
    if len(entering) == 0 and not retired:
        raise ReferenceSetError(
            N_("Nothing would change: of {count} candidates none may enter, and none is retired."),
            N_("`r2t2 reference check` says what is wrong with them."),
            count=screening.candidates,
        )
    staging = _stage(library, name, base, kept, retired, candidates, entering)
    after = ReferenceSet.load(staging.root)
    comparisons = compare_on(engine, base, after, holdout, retrieval)
    total = comparisons[-1]
    is_better = total.better > total.worse and total.p_value < SIGNIFICANT
    harms = any(entry.worse > entry.better and entry.p_value < SIGNIFICANT for entry in comparisons)
    promoted = policy == "if_better" and is_better and not harms
    outcome = Refreshed(staging, screening, retired, comparisons, is_better, harms, promoted)
    digest = staging.manifest.content_hash
    if promoted:
        promote(library, name, outcome.evidence())
    else:
        event = "refused" if policy == "if_better" else "staged"
        library.note(event, name, digest, outcome.evidence())
    return outcome


def _without_harmful(
    engine: Engine,
    base: ReferenceSet,
    suites: Sequence[PreparedSuite],
    retrieval: RetrievalParams,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return rows that stay, and the identifiers of those that are retired."""
    rows = np.arange(len(base))
    if not suites:
        return rows, ()
    bench = Bench(engine, base, ReferenceIndex(base), retrieval)
    harmful = measure_influence(bench, suites).harmful
    identifiers = base.column("id")
    return np.setdiff1d(rows, harmful), tuple(str(identifiers[row]) for row in harmful.tolist())


def _stage(
    library: Library,
    name: str,
    base: ReferenceSet,
    kept: np.ndarray,
    retired: Sequence[str],
    candidates: ReferenceSet | None,
    entering: np.ndarray,
) -> Version:
    """Write the staging version: what stays, and what enters."""
    work = library.work_folder(f"refresh-{name}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    note = f"refresh: {len(entering)} added, {len(retired)} retired"
    about = {"name": name, "note": note, "author": current_author()}
    last = work / "version"
    staying = base
    if retired:
        folder = work / "staying" if len(entering) else last
        subset(base, kept, folder, about)
        staying = ReferenceSet.load(folder)
    if len(entering) and candidates is not None:
        subset(candidates, entering, work / "entering", about)
        more = ReferenceSet.load(work / "entering")
        parents = (base.manifest.content_hash, candidates.manifest.content_hash)
        append(staying, more, last, about | {"parents": parents})
    version = library.add(last, name + STAGING, "stage")
    shutil.rmtree(work)
    return version


def promote(library: Library, name: str, evidence: Any = None) -> str:
    """Let a name point to its staging version; return that version's hash.

    Raises
    ------
    ReferenceSetError
        Nothing is staged.
    """
    history = library.history(name + STAGING)
    if not history:
        raise ReferenceSetError(
            N_("Nothing is staged for {name}."), N_("`r2t2 reference refresh` stages."), name=name
        )
    library.point(name, history[-1], "promote", evidence)
    library.forget(name + STAGING, "unstage")
    return history[-1]
