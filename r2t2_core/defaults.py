"""What the validation split chose: strategy, retrieval, parameters, thresholds of the gate."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from r2t2_core.errors import ReferenceSetError
from r2t2_core.gate import GateThresholds
from r2t2_core.i18n import N_
from r2t2_core.reference.index import RetrievalParams

Scalar = float | int | str | bool | None


class Defaults(BaseModel):
    """The shipped choice (`sample_data/defaults.json`, written by `tools/choose_defaults.py`).

    Attributes
    ----------
    strategy : str
        Registered name.
    retrieval : RetrievalParams
    parameters : dict
        Strategy → parameters that differ from the strategy's own defaults.
    thresholds : GateThresholds
    chosen_on : str
        Split and rule of the choice, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str
    retrieval: RetrievalParams
    parameters: dict[str, dict[str, Scalar]]
    thresholds: GateThresholds
    chosen_on: str

    @classmethod
    def load(cls, path: Path) -> Defaults:
        """Read the file.

        Raises
        ------
        ReferenceSetError
            It is missing or damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ReferenceSetError(
                N_("The defaults in {path} cannot be read: {reason}."),
                N_("Restore the file from the repository."),
                path=str(path),
                reason=str(error),
            ) from error
