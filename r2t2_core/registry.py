"""The door through which strategies enter, ours and others' alike.

A third party registers with `@register(...)` in a module that it names under the
entry-point group `r2t2.strategies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

from pydantic import ValidationError

from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_
from r2t2_core.strategies.base import Params, Strategy
from r2t2_core.types import RoutingProblem, Trajectory

ENTRY_POINTS = "r2t2.strategies"

BUILT_IN = {
    "base": "base_router",
    "ngd": "ngd",
    "kernel_regression": "kernel_regression",
    "mode_finding": "mode_finding",
    "oracle": "oracle",
    "uniform": "uniform",
    "random_neighbours": "random_neighbours",
}
"""Registered name → module, in the order in which people see them."""

_registered: dict[str, Strategy] = {}

Reroute = Callable[[RoutingProblem, Any], Trajectory]


def register(
    name: str,
    *,
    title: str,
    summary: str,
    params: type[Params],
    needs_label: bool = False,
    is_control: bool = False,
) -> Callable[[Reroute], Reroute]:
    """Register a function `(problem, params) → Trajectory` as a strategy.

    Raises
    ------
    ParameterError
        The name is taken.
    """

    def enter(reroute: Reroute) -> Reroute:
        if name in _registered:
            raise ParameterError(
                N_("There is already a strategy called {name}."),
                N_("Choose another name."),
                name=name,
            )
        _registered[name] = Strategy(name, title, summary, params, reroute, needs_label, is_control)
        return reroute

    return enter


@lru_cache(maxsize=1)
def _load_all() -> None:
    for module in BUILT_IN.values():
        import_module(f"r2t2_core.strategies.{module}")
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        entry.load()


def strategies() -> Mapping[str, Strategy]:
    """Return all registered strategies by name: ours first, then others' as they entered."""
    _load_all()
    return {name: _registered[name] for name in (*BUILT_IN, *_registered)}


def get_strategy(name: str) -> Strategy:
    """Return a strategy.

    Raises
    ------
    ParameterError
        No strategy has that name.
    """
    known = strategies()
    if name not in known:
        raise ParameterError(
            N_("There is no strategy called {name}."),
            N_("Choose one of: {known}."),
            name=name,
            known=", ".join(known),
        )
    return known[name]


def parse_params(strategy: Strategy, values: Mapping[str, object]) -> Params:
    """Build a strategy's parameters from names and values.

    Raises
    ------
    ParameterError
        A parameter is unknown or out of its bounds; the message names it.
    """
    try:
        return strategy.params.model_validate(dict(values))
    except ValidationError as error:
        raise parameter_error(error, strategy.name) from error


def parameter_error(error: ValidationError, owner: str) -> ParameterError:
    """Turn the first complaint of pydantic into a sentence that names owner, field and value."""
    first = error.errors()[0]
    return ParameterError(
        N_("The parameter {name} of {owner} cannot be {value}: {reason}."),
        N_("See its bounds with `r2t2 strategies`."),
        name=".".join(str(part) for part in first["loc"]) or "?",
        owner=owner,
        value=repr(first["input"]),
        reason=first["msg"],
    )
