"""What a check says: a figure against thresholds, a verdict in words, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.parameters import parse

Verdict = Literal["usable", "weak", "unusable", "not_assessed"]

ORDER: tuple[Verdict, ...] = ("not_assessed", "usable", "weak", "unusable")
"""From what says least against a set to what says most."""


@dataclass(frozen=True)
class Sentence:
    """A message identifier with values for its placeholders."""

    message: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return it in the active language."""
        return _(self.message).format(**self.values) if self.values else _(self.message)

    def __str__(self) -> str:
        return self.message.format(**self.values) if self.values else self.message


NOTHING = Sentence("")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : str
        Its name.
    verdict : Verdict
    figure : float or None
        The number that decides.
    weak, unusable : float or None
        Thresholds: beyond the first the verdict is `weak`, beyond the second `unusable`.
    words, advice : Sentence
        What it means, and what to do.
    numbers : mapping
        All that was measured.
    samples : tuple of str
        Identifiers of samples that a person should look at, the worst first.
    """

    check: str
    verdict: Verdict
    figure: float | None
    weak: float | None
    unusable: float | None
    words: Sentence
    advice: Sentence = NOTHING
    numbers: Mapping[str, Any] = field(default_factory=dict)
    samples: tuple[str, ...] = ()


class Thresholds(BaseModel):
    """Bounds of the checks; each can be set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    signal_p: float = Field(default=0.01, gt=0, le=0.5, description=N_("Greatest p of the signal."))
    signal_weak: float = Field(default=0.10, ge=0, le=1, description=N_("Effect of the signal."))
    signal_unusable: float = Field(
        default=0.03, ge=0, le=1, description=N_("Effect below which routings are noise.")
    )
    usefulness_p: float = Field(
        default=0.05, gt=0, le=0.5, description=N_("Greatest p of fixed against broken.")
    )
    coverage_weak: float = Field(default=0.10, ge=0, le=1, description=N_("Share out of reach."))
    coverage_unusable: float = Field(
        default=0.50, ge=0, le=1, description=N_("Share out of reach that is too much.")
    )
    bias_weak: float = Field(default=0.40, ge=0, le=1, description=N_("Share of one family."))
    bias_unusable: float = Field(
        default=0.80, ge=0, le=1, description=N_("Share of one family that is too much.")
    )
    labels_weak: float = Field(default=0.03, ge=0, le=1, description=N_("Share of odd labels."))
    labels_unusable: float = Field(
        default=0.20, ge=0, le=1, description=N_("Share of odd labels that is too much.")
    )
    duplicate_similarity: float = Field(
        default=0.95, ge=0, le=1, description=N_("Near-duplicates are more alike than this.")
    )
    duplicates_weak: float = Field(
        default=0.10, ge=0, le=1, description=N_("Share of near-duplicates.")
    )
    duplicates_unusable: float = Field(
        default=0.60, ge=0, le=1, description=N_("Share of near-duplicates that is too much.")
    )
    leakage_weak: float = Field(
        default=0.01, ge=0, le=1, description=N_("Share of a suite that the set knows already.")
    )
    harm_weak: float = Field(
        default=0.02, ge=0, le=1, description=N_("Share of neighbours that harm more than help.")
    )

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Thresholds:
        """Build from names and values.

        Raises
        ------
        ParameterError
            A threshold is unknown or out of its bounds.
        """
        return parse(cls, values, "thresholds")


def grade(figure: float, weak: float, unusable: float | None, *, more_is_better: bool) -> Verdict:
    """Return the verdict of a figure."""
    sign = -1 if more_is_better else 1
    if unusable is not None and sign * figure > sign * unusable:
        return "unusable"
    return "weak" if sign * figure > sign * weak else "usable"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that says most against a set."""
    return max(verdicts, key=ORDER.index, default="not_assessed")


def not_assessed(check: str, message: str, **values: object) -> Finding:
    """Return the finding of a check that could not be made, and why."""
    return Finding(check, "not_assessed", None, None, None, Sentence(message, values))
