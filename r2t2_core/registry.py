"""The door through which strategies enter, ours and others' alike.

Ours are all modules of `r2t2_core.strategies`. A third party registers with
`@register(...)` in a module that it names under the entry-point group `r2t2.strategies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module, metadata
from pkgutil import iter_modules
from typing import Any

from r2t2_core import strategies as built_in
from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_
from r2t2_core.parameters import parse
from r2t2_core.strategies.base import Params, Strategy
from r2t2_core.types import RoutingProblem, Trajectory

ENTRY_POINTS = "r2t2.strategies"

_registered: dict[str, Strategy] = {}

Reroute = Callable[[RoutingProblem, Any], Trajectory]


def register(
    name: str,
    *,
    title: str,
    summary: str,
    params: type[Params],
    order: int = 100,
    needs_label: bool = False,
    is_control: bool = False,
) -> Callable[[Reroute], Reroute]:
    """Register a function `(problem, params) → Trajectory` as a strategy.

    Parameters
    ----------
    name, title, summary, params, needs_label, is_control
        As in `Strategy`.
    order : int
        Its place where people see all strategies; others' come after ours.

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
        _registered[name] = Strategy(
            name, title, summary, params, reroute, order, needs_label, is_control
        )
        return reroute

    return enter


@lru_cache(maxsize=1)
def _load_all() -> None:
    for module in iter_modules(built_in.__path__):
        import_module(f"{built_in.__name__}.{module.name}")
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:  # A stranger's code: whatever it does, say whose it was.
            raise ParameterError(
                N_("The strategy {name} of the package {package} cannot be loaded: {reason}."),
                N_("Update or remove the package."),
                name=entry.name,
                package=entry.dist.name if entry.dist else entry.value,
                reason=repr(error),
            ) from error


def strategies() -> Mapping[str, Strategy]:
    """Return all registered strategies by name: ours first, then others' as they entered.

    Raises
    ------
    ParameterError
        An installed package offers a strategy that cannot be loaded.
    """
    _load_all()
    return {entry.name: entry for entry in sorted(_registered.values(), key=lambda e: e.order)}


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
    return parse(strategy.params, values, strategy.name)
