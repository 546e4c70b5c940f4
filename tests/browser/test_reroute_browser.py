"""The main job in a real browser: upload a picture, ask, read the answer before and after."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tools.screenshots import ARGUMENTS, chromium

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.browser


def browser_path() -> str:
    """Return Chromium's path; without it these tests are left out, unless CI insists."""
    try:
        return chromium()
    except FileNotFoundError as error:
        if os.environ.get("R2T2_REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running app on a free port."""
    browser_path()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("app") / "log").open("wb")
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    options = [
        "--server.port",
        str(port),
        "--server.address",
        "127.0.0.1",
        "--server.headless",
        "true",
    ]
    own = {**os.environ, "R2T2_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
    process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=log, stderr=log, env=own)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                break
            except OSError:
                assert process.poll() is None, "the app has stopped"
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
        context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.goto(f"{address}/rerouting")
        yield page
        browser.close()


def test_upload_ask_and_read_before_and_after(page: Page, cases, gallery_dir):
    case = next(c for c in cases if "chair" in c.question.lower() and c.outcome == "repaired")
    page.wait_for_selector(".st-key-go button")
    page.get_by_text("Upload", exact=True).first.click()
    page.wait_for_selector("[data-testid=stFileUploader]")
    page.set_input_files("input[type=file]", str(gallery_dir / case.image))
    page.wait_for_timeout(1500)
    question = page.locator("[class*=st-key-question] input")
    question.fill(case.question)
    question.press("Enter")
    page.wait_for_timeout(800)
    page.locator(".st-key-go button").click()
    page.wait_for_selector(".r2-cards .r2-card >> nth=1")
    answers = page.locator(".r2-cards .r2-card b").all_inner_texts()
    assert len(answers) == 2
    assert answers[0] != case.label
    assert answers[1] == case.label


def test_the_story_fits_on_one_screen(page: Page):
    page.wait_for_selector(".r2-strip figure")
    page.wait_for_timeout(1500)
    page.mouse.wheel(0, -5000)
    for part in (".r2-cards", ".st-key-story .stPlotlyChart", ".r2-strip", ".st-key-go button"):
        box = page.locator(part).first.bounding_box()
        assert box is not None, part
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= 900, part


def test_a_file_that_is_no_picture_gets_one_sentence(page: Page, tmp_path):
    bad = tmp_path / "letter.png"
    bad.write_text("I am a letter")
    page.set_input_files("input[type=file]", str(bad))
    page.get_by_text("The file is not a picture that can be read.").first.wait_for()
    assert page.locator(".st-key-go button").is_visible()
    assert page.locator("[data-testid=stException]").count() == 0


def test_a_scene_is_composed_and_asked_about(page: Page):
    page.get_by_text("Compose a scene", exact=True).first.click()
    page.locator(".palette button[aria-label='chair']").click()
    page.wait_for_timeout(1200)
    page.locator(".palette button[aria-label='apple']").click()
    page.wait_for_timeout(1200)
    question = page.locator("[class*=st-key-question] input")
    question.fill("Where is the chair?")
    question.press("Enter")
    page.wait_for_timeout(800)
    page.locator(".st-key-go button").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.r2-card b')].some(b => b.innerText === 'top left')"
    )


def test_a_case_of_the_compare_page_opens_on_this_one(page: Page):
    page.locator("[data-testid=stSidebarNav] a").filter(has_text="Compare").click()
    page.get_by_text("Compare strategies").wait_for()
    grid = page.locator(".stDataFrame").first
    grid.wait_for()
    page.wait_for_timeout(2500)
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    # The first row's tick box.
    page.mouse.click(box["x"] + 14, box["y"] + 70)
    page.locator(".st-key-open button").click()
    page.wait_for_selector(".r2-cards .r2-card >> nth=1")
    assert page.get_by_text("Repaired: wrong before, right after").count() == 1
