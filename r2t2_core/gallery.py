"""The gallery: pictures and questions with known answers, to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import N_


class GalleryCase(BaseModel):
    """One picture with a question.

    Attributes
    ----------
    id : str
    image : str
        File name in the gallery's folder.
    question, label : str
    family : str
    outcome : str
        What re-routing did when the gallery was made: `repaired`, `unchanged_right`,
        `unchanged_wrong` or `broken`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    image: str
    question: str
    label: str
    family: str
    outcome: Literal["repaired", "unchanged_right", "unchanged_wrong", "broken"]


_CASES = TypeAdapter(tuple[GalleryCase, ...])


def load_gallery(folder: Path) -> tuple[GalleryCase, ...]:
    """Read `cases.json`.

    Raises
    ------
    WorkbenchError
        It is missing or damaged.
    """
    try:
        return _CASES.validate_json((folder / "cases.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise WorkbenchError(
            N_("The gallery in {folder} cannot be read: {reason}."),
            N_("Restore the folder from the repository."),
            folder=str(folder),
            reason=str(error),
        ) from error
