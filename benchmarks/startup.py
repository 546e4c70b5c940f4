"""From nothing to the first answer, and how long the page takes to follow a click.

The page is run by Streamlit's own test runner in a new process: all of the app but the browser.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import json, time
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("pages/reroute.py", default_timeout=300).run()
app.button(key="go").click().run()
assert not app.exception and app.session_state["decision"]
first = time.time()
seconds = []
for step in (0, 3, 6, 9, 2, 5, 8, 1, 4, 7):
    slider = next(s for s in app.slider if s.key.startswith("step."))
    began = time.perf_counter()
    slider.set_value(min(step, slider.max)).run()
    seconds.append(time.perf_counter() - began)
print(json.dumps({"first": first, "interactions": seconds}))
"""


@dataclass(frozen=True)
class StartupResult:
    """Seconds from the start of the process to the first answer, and of one interaction."""

    first_answer: float
    interaction: float


def start_up() -> StartupResult:
    """Start the app anew and use it."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    ordered = sorted(told["interactions"])
    return StartupResult(told["first"] - began, ordered[len(ordered) // 2])
