"""Parameters that a person may set: pydantic models whose bounds and complaints people can read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_

Model = TypeVar("Model", bound=BaseModel)

COMPLAINTS = {
    "greater_than_equal": N_("{owner}: {name} must be {ge} or more, not {value}."),
    "greater_than": N_("{owner}: {name} must be more than {gt}, not {value}."),
    "less_than_equal": N_("{owner}: {name} must be {le} or less, not {value}."),
    "less_than": N_("{owner}: {name} must be less than {lt}, not {value}."),
    "literal_error": N_("{owner}: {name} must be one of {expected}, not {value}."),
    "int_parsing": N_("{owner}: {name} must be a whole number, not {value}."),
    "int_type": N_("{owner}: {name} must be a whole number, not {value}."),
    "int_from_float": N_("{owner}: {name} must be a whole number, not {value}."),
    "float_parsing": N_("{owner}: {name} must be a number, not {value}."),
    "float_type": N_("{owner}: {name} must be a number, not {value}."),
    "finite_number": N_("{owner}: {name} must be a finite number, not {value}."),
    "extra_forbidden": N_("{owner}: there is no parameter called {name}."),
}
"""Kind of pydantic's complaint → what a person reads."""

OTHER_COMPLAINT = N_("{owner}: {name} cannot be {value}: {reason}.")

LIST_THEM = N_("`r2t2 strategies` lists all parameters with their bounds.")


@dataclass(frozen=True)
class Bounds:
    """Least and greatest value of a number, infinite where it has none; open ends are left out."""

    low: float
    high: float
    low_open: bool
    high_open: bool

    def __str__(self) -> str:
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


def bounds(field: FieldInfo) -> Bounds:
    """Return the bounds of a numeric field."""
    low, high, low_open, high_open = -math.inf, math.inf, False, False
    for entry in field.metadata:
        for name in ("ge", "gt"):
            if (bound := getattr(entry, name, None)) is not None:
                low, low_open = float(bound), name == "gt"
        for name in ("le", "lt"):
            if (bound := getattr(entry, name, None)) is not None:
                high, high_open = float(bound), name == "lt"
    return Bounds(low, high, low_open, high_open)


def choices(field: FieldInfo) -> tuple[str, ...] | None:
    """Return the values that a field of a fixed choice may take; None for another field."""
    is_choice = get_origin(field.annotation) is Literal
    return tuple(get_args(field.annotation)) if is_choice else None


def parse(model: type[Model], values: Mapping[str, object], owner: str) -> Model:
    """Build parameters from names and values.

    Raises
    ------
    ParameterError
        A parameter is unknown or out of its bounds; the sentence names it.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise complaint(error, owner, LIST_THEM) from error


def complaint(error: ValidationError, owner: str, remedy: str) -> ParameterError:
    """Turn the first complaint of pydantic into a sentence with owner, name and value."""
    first = error.errors()[0]
    message = COMPLAINTS.get(first["type"], OTHER_COMPLAINT)
    context: dict[str, Any] = dict(first.get("ctx", {}))
    context.pop("error", None)
    context.update(
        owner=owner,
        name=".".join(str(part) for part in first["loc"]) or "?",
        value=repr(first["input"]),
        reason=first["msg"],
    )
    return ParameterError(message, remedy, **context)
