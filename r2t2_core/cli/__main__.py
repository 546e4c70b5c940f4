"""`python -m r2t2_core.cli`."""

from r2t2_core.cli import app

app()
