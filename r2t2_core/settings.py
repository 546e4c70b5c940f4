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
    dtype : str
        Number format of the model's large products: `float32`, or `bfloat16`, whose numbers differ
        in the third digit (`R2T2_DTYPE`).
    threads : int
        Threads of torch; 0 leaves torch's own choice (`R2T2_THREADS`).
    backend_url : str or None
        A backend that answers instead of this process (`R2T2_BACKEND_URL`).
    batch_size : int
        Most requests that the backend answers together (`R2T2_BATCH_SIZE`).
    batch_window : float
        Seconds that the backend waits for requests that are being read, to answer them together
        (`R2T2_BATCH_WINDOW`); a lone request never waits.
    queue_size : int
        Requests that the backend holds at once; more are refused (`R2T2_QUEUE_SIZE`).
    deadline : float
        Seconds after which the backend gives up a request (`R2T2_DEADLINE`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("r2t2")))
    sample_data: Path = SAMPLE_DATA
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(default=0, ge=0, le=256)
    backend_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/\S*)?$")
    batch_size: int = Field(default=16, ge=1, le=512)
    batch_window: float = Field(default=0.004, ge=0, le=1)
    queue_size: int = Field(default=64, ge=1, le=10_000)
    deadline: float = Field(default=30.0, gt=0, le=3600)

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
