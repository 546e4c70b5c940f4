"""The step slider, its keys, the permanent link and the home page's animation in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.test_reroute_browser import address, browser_path
from tools.screenshots import ARGUMENTS

__all__ = ["address"]

pytestmark = pytest.mark.browser


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(ARGUMENTS))
        context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
        page = context.new_page()
        page.set_default_timeout(90_000)
        yield page
        browser.close()


def sentence(page: Page) -> str:
    return page.get_by_text(re.compile(r"At step \d+ the answer is")).first.inner_text()


def open_link(page: Page, link: str) -> None:
    page.goto(link)
    page.wait_for_selector(".r2-cards .r2-card >> nth=1")
    page.get_by_text(re.compile(r"At step \d+ the answer is")).first.wait_for()


def test_a_link_opens_the_decision_at_its_step_and_follows_the_slider(page: Page, address, cases):
    link = f"{address}/rerouting?case={cases[0].id}&retrieval.n_neighbours=7&shown=ngd&step=2"
    open_link(page, link)
    assert sentence(page).startswith("At step 2 ")
    assert "retrieval.n_neighbours=7" in page.url
    page.keyboard.press("n")
    page.get_by_text("At step 3 the answer is").first.wait_for()
    page.wait_for_function("() => location.search.includes('step=3')")
    slider = page.locator("[class*=st-key-step] [role=slider]").first
    slider.focus()
    slider.press("ArrowLeft")
    page.get_by_text("At step 2 the answer is").first.wait_for()
    # What the address says now opens the same again, elsewhere.
    page.wait_for_function("() => location.search.includes('step=2')")
    shared = page.url
    before = page.locator(".r2-words").inner_text()
    page.goto("about:blank")
    open_link(page, shared)
    assert sentence(page).startswith("At step 2 ")
    assert page.locator(".r2-words").inner_text() == before


def test_the_slider_plays_to_the_end_and_stops(page: Page, address, cases):
    open_link(page, f"{address}/rerouting?case={cases[0].id}&shown=ngd&step=8")
    page.keyboard.press("p")
    page.get_by_text("At step 10 the answer is").first.wait_for()
    page.locator("[class*=st-key-play] button").get_by_text("Play", exact=True).wait_for()


def test_home_plays_once_can_be_stepped_and_leads_to_the_case(page: Page, address):
    page.goto(address)
    player = page.locator(".player")
    player.wait_for()
    last = player.locator(".dots i").count() - 1
    expect(player).to_have_attribute("data-shot", str(last), timeout=60_000)
    player.focus()
    player.press("ArrowLeft")
    assert player.get_attribute("data-shot") == str(last - 1)
    player.get_by_role("button", name="Next").click()
    assert player.get_attribute("data-shot") == str(last)
    page.locator(".st-key-home\\.why button, .st-key-home-why button").first.click()
    page.wait_for_selector(".r2-cards .r2-card >> nth=1")
    assert "case=" in page.url
