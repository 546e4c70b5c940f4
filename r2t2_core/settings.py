"""Where things are and how the program runs; read from the environment once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_
from r2t2_core.parameters import complaint

CORRECT_IT = N_("Correct the environment variable or leave it out.")

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"


class Settings(BaseModel):
    """Settings of a process.

    Attributes
    ----------
    data_dir : Path
        Everything that the program writes lives here (`R2T2_DATA_DIR`).
    sample_data : Path
        What ships with the product (`R2T2_SAMPLE_DATA`).
    device : str
        `auto`, `cpu`, `cuda` or `mps` (`R2T2_DEVICE`).
    threads : int
        Threads of torch; 0 leaves torch's own choice (`R2T2_THREADS`).
    database_url : str or None
        Database of the audit log; `audit.db` in the data folder by default (`R2T2_DATABASE_URL`).
    audit_policy : str
        `strict`: what cannot be recorded is not shown; `tell`: it is shown with a warning
        (`R2T2_AUDIT_POLICY`).
    audit_key : Path or None
        Private key that signs the log; below the data folder by default (`R2T2_AUDIT_KEY`).
    anchor_dir : Path or None
        Where anchors of the log are written, best on another machine (`R2T2_ANCHOR_DIR`).
    anchor_every : int
        Entries between two anchors (`R2T2_ANCHOR_EVERY`).
    retention_days : int
        How long pictures and questions are kept (`R2T2_RETENTION_DAYS`).
    auth : str
        `off`, or `tokens`: who asks must show one (`R2T2_AUTH`).
    token : str or None
        The token of whoever uses the command line (`R2T2_TOKEN`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("r2t2")))
    sample_data: Path = SAMPLE_DATA
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(default=0, ge=0, le=256)
    # Without `repr`: an address may hold a password, and a token is one.
    database_url: str | None = Field(default=None, repr=False)
    audit_policy: Literal["strict", "tell"] = "strict"
    audit_key: Path | None = None
    anchor_dir: Path | None = None
    anchor_every: int = Field(default=100, ge=1, le=1_000_000)
    retention_days: int = Field(default=365, ge=1, le=36_500)
    auth: Literal["off", "tokens"] = "off"
    token: str | None = Field(default=None, repr=False)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read `R2T2_*` variables.

        Raises
        ------
        ParameterError
            A variable has a value that cannot be used.
        """
        given = {
            name: os.environ[f"R2T2_{name.upper()}"]
            for name in cls.model_fields
            if os.environ.get(f"R2T2_{name.upper()}")
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise complaint(error, "R2T2_*", CORRECT_IT) from error

    @property
    def model_dir(self) -> Path:
        """Folder of the shipped model."""
        return self.sample_data / "model"

    @property
    def readout_path(self) -> Path:
        """The task embedding's read-out."""
        return self.sample_data / "embedding" / "readout.safetensors"

    @property
    def reference_dir(self) -> Path:
        """Folder of the shipped reference set."""
        return self.sample_data / "reference"

    @property
    def gallery_dir(self) -> Path:
        """Folder of the gallery."""
        return self.sample_data / "gallery"

    @property
    def defaults_path(self) -> Path:
        """What validation chose."""
        return self.sample_data / "defaults.json"

    def resolve_device(self) -> str:
        """Return the device in words of torch; `auto` takes the best there is.

        Raises
        ------
        ParameterError
            The device that was asked for is not there.
        """
        there = {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
            "cpu": True,
        }
        if self.device == "auto":
            return next(name for name, is_there in there.items() if is_there)
        if not there[self.device]:
            raise ParameterError(
                N_("R2T2_DEVICE asks for {device}, which this machine does not have."),
                N_("Use one of: {there}."),
                device=self.device,
                there=", ".join(["auto", *(name for name, is_there in there.items() if is_there)]),
            )
        return self.device
