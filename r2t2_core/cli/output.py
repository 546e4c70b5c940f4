"""What all commands share: complaints on the error stream, results on the output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console

from r2t2_core.errors import Cancelled, WorkbenchError

EXIT_BAD_INPUT = 2
EXIT_NO_OUTPUT = 3
EXIT_CANCELLED = 130


@contextmanager
def complaints() -> Iterator[None]:
    """Turn what went wrong into one sentence on the error stream."""
    try:
        yield
    except Cancelled as error:
        complain(str(error), EXIT_CANCELLED)
    except WorkbenchError as error:
        complain(str(error), EXIT_BAD_INPUT)


@contextmanager
def output() -> Iterator[None]:
    """Print, and say so where nobody takes what is printed."""
    if sys.stdout is None:
        complain("The result cannot be written: the output is closed.", EXIT_NO_OUTPUT)
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more, and complain itself, when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        complain(f"The result cannot be written: {error.strerror}.", EXIT_NO_OUTPUT)


def warn(sentence: str, style: str = "yellow") -> None:
    """Say a sentence on the error stream."""
    # One line, however narrow the terminal: programs read it too.
    Console(stderr=True).print(sentence, style=style, markup=False, highlight=False, soft_wrap=True)


def complain(sentence: str, code: int) -> NoReturn:
    """Say a sentence on the error stream and end the program."""
    warn(sentence, "red")
    raise typer.Exit(code)
