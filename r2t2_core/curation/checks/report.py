"""All checks of a set, and the verdict in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from r2t2_core.curation.checks import bias, coverage, duplicates, harm, labels, signal, usefulness
from r2t2_core.curation.checks.finding import Finding, Sentence, Thresholds, Verdict, worst
from r2t2_core.curation.checks.neighbourhood import Bench, prepare_suite
from r2t2_core.engine import Engine
from r2t2_core.errors import Cancelled, NeighbourhoodError
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.evaluation.suites import Suite
from r2t2_core.i18n import N_
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.store import ReferenceSet

LIMIT = 1000
"""Samples, and questions of the suites, that costly checks draw at most."""

FIGURES = {
    "signal": signal.FIGURE,
    "usefulness": usefulness.FIGURE,
    "coverage": coverage.FIGURE,
    "bias": bias.FIGURE,
    "labels": labels.FIGURE,
    "duplicates": duplicates.DUPLICATES_FIGURE,
    "leakage": duplicates.LEAKAGE_FIGURE,
    "harm": harm.FIGURE,
}
"""What each check's figure is, in words."""

TITLES = {
    "signal": N_("Signal"),
    "usefulness": N_("Usefulness"),
    "coverage": N_("Coverage"),
    "bias": N_("Balance"),
    "labels": N_("Labels"),
    "duplicates": N_("Duplicates"),
    "leakage": N_("Leakage"),
    "harm": N_("Harm"),
}

VERDICTS = {
    "usable": N_("usable"),
    "weak": N_("weak"),
    "unusable": N_("unusable"),
    "not_assessed": N_("not assessed"),
}

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class CheckReport:
    """What all checks found.

    Attributes
    ----------
    name, content_hash : str
        Of the set.
    policy : str
        The reference policy under which it was checked.
    verdict : Verdict
        The one that says most against it.
    findings : tuple of Finding
    thresholds : Thresholds
    suites : tuple of str
    seed, limit : int
    """

    name: str
    content_hash: str
    policy: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    thresholds: Thresholds
    suites: tuple[str, ...]
    seed: int
    limit: int

    def finding(self, check: str) -> Finding:
        """Return one check's finding; KeyError where there is none."""
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        findings = []
        for finding in self.findings:
            entry = asdict(finding)
            entry["words"], entry["advice"] = str(finding.words), str(finding.advice)
            entry["samples"] = list(finding.samples)
            findings.append(entry)
        return {
            "name": self.name,
            "content_hash": self.content_hash,
            "policy": self.policy,
            "verdict": self.verdict,
            "checks": findings,
            "thresholds": self.thresholds.model_dump(),
            "suites": list(self.suites),
            "seed": self.seed,
            "limit": self.limit,
        }


def check_reference(
    engine: Engine,
    reference: ReferenceSet,
    suites: Sequence[Suite] = (),
    thresholds: Thresholds | None = None,
    *,
    policy: str | None = None,
    seed: int = 0,
    limit: int = LIMIT,
    progress: Progress = lambda stage, share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> CheckReport:
    """Check a set.

    Parameters
    ----------
    engine : Engine
        Its model, embedder and defaults.
    reference : ReferenceSet
    suites : sequence of Suite
        For coverage, leakage and harm.
    thresholds : Thresholds, optional
    policy : str, optional
        What the set was built for by default; that of the defaults where it does not say.
    seed, limit : int
    progress : callable
        Told which check comes next (a message identifier), and the share done.
    cancelled : callable
        Asked between checks.

    Raises
    ------
    Cancelled
        `cancelled()` said so.
    """
    bounds = thresholds or Thresholds()
    chosen = policy or reference.manifest.policy or engine.default_retrieval.policy
    retrieval = RetrievalParams.parse(
        engine.default_retrieval.model_dump()
        | {
            "policy": chosen,
            # A sample must never be its own neighbour.
            "duplicate_threshold": min(
                engine.default_retrieval.duplicate_threshold, bounds.duplicate_similarity
            ),
            "seed": seed,
        }
    )
    bench = Bench(engine, reference, ReferenceIndex(reference), retrieval, seed, limit)
    prepared: list[PreparedSuite] = []
    each = -(-limit // max(len(suites), 1))
    checks: dict[str, Callable[[], Finding]] = {
        "signal": lambda: signal.check_signal(bench, bounds),
        "usefulness": lambda: usefulness.check_usefulness(bench, bounds),
        "bias": lambda: bias.check_bias(bench, bounds),
        "labels": lambda: labels.check_labels(bench, bounds),
        "duplicates": lambda: duplicates.check_duplicates(bench, bounds),
        "coverage": lambda: coverage.check_coverage(bench, bounds, prepared),
        "leakage": lambda: duplicates.check_leakage(bench, bounds, prepared),
        "harm": lambda: harm.check_harm(bench, bounds, prepared),
    }
    findings = []
    for number, (name, check) in enumerate(checks.items()):
        if cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        progress(TITLES[name], number / len(checks))
        if name == "coverage":
            prepared += [prepare_suite(engine, suite, each, seed) for suite in suites]
        try:
            findings.append(check())
        except NeighbourhoodError as error:
            # A set in which samples find no neighbours cannot serve: that is a finding.
            words, advice = Sentence(error.message, error.params), Sentence(error.remedy)
            findings.append(Finding(name, "unusable", None, None, None, words, advice))
    progress("", 1.0)
    return CheckReport(
        reference.manifest.name,
        reference.manifest.content_hash,
        chosen,
        worst([finding.verdict for finding in findings]),
        tuple(findings),
        bounds,
        tuple(suite.name for suite in suites),
        seed,
        limit,
    )
