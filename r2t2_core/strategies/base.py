"""What a strategy is: a frozen `Params` model and one pure function.

Sliders, command-line options and conformance tests derive from `Params`
(bounds and descriptions of its fields); the function takes a problem and
returns a trajectory, and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from r2t2_core.types import RoutingProblem, Trajectory


class Params(BaseModel):
    """Base of all strategies' parameters: frozen, bounded, described."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Strategy:
    """A registered strategy.

    Attributes
    ----------
    name : str
        Registered name, for example `ngd`.
    title : str
        Name for people (a message identifier).
    summary : str
        One sentence for people (a message identifier).
    params : type of Params
        Its parameters.
    reroute : callable
        `(problem, params) → Trajectory`, pure.
    order : int
        Its place where people see all strategies.
    needs_label : bool
        True only for the oracle.
    is_control : bool
        True for baselines that nobody should use for an answer.
    """

    name: str
    title: str
    summary: str
    params: type[Params]
    reroute: Callable[[RoutingProblem, Any], Trajectory]
    order: int
    needs_label: bool = False
    is_control: bool = False
