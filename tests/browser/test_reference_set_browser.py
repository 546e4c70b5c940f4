"""The map in a real browser: a lasso on WebGL points gives a table of just those samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from r2t2_core.projection import SPACES, Projection, space_vectors
from r2t2_core.projection_store import ProjectionStore
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.settings import Settings
from tests.browser.serving import WEBGL, serve
from tests.browser.test_reroute_browser import browser_path

pytestmark = pytest.mark.browser


def store_plain_maps(folder: Path) -> None:
    """Store principal components as the maps: this test is not about UMAP, which takes a while."""
    reference = ReferenceSet.load(Settings().reference_dir)
    for space in SPACES:
        vectors = space_vectors(reference, space)
        centred = vectors - vectors.mean(0)
        _values, axes = np.linalg.eigh(centred.T @ centred)
        places = (centred @ axes[:, -2:]).astype(np.float32)
        nearness = np.ones(len(vectors), dtype=np.float32)
        plain = Projection(space, reference.manifest.content_hash, places, nearness, 0.1)
        ProjectionStore(folder).save(plain)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = browser_path()
    data = tmp_path_factory.mktemp("data")
    store_plain_maps(data / "projections")
    log = tmp_path_factory.mktemp("app") / "log"
    with serve(data, log) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(WEBGL))
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-GB")
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.goto(f"{address}/references")
        yield page
        browser.close()


def lasso(page: Page) -> None:
    """Draw around the middle of the map."""
    box = page.locator(".st-key-map-chart-questions .nsewdrag").first.bounding_box()
    assert box is not None
    left, top = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.25
    right, bottom = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.75
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=5)
    page.mouse.up()


def test_a_lasso_gives_a_table_with_pictures_and_a_profile(page: Page):
    page.wait_for_selector(".st-key-map-chart-questions .nsewdrag")
    page.get_by_text("The whole reference set").wait_for()
    page.wait_for_timeout(2000)
    lasso(page)
    chosen = page.get_by_text("samples are chosen")
    chosen.wait_for()
    count = int(chosen.inner_text().split()[0].replace(",", ""))
    size = len(ReferenceSet.load(Settings().reference_dir))
    assert 0 < count < size
    page.wait_for_selector(".stDataFrame")
    assert f"of these {count:,} samples correctly" in page.locator("body").inner_text()
    assert page.locator("[data-testid=stException]").count() == 0


def test_choosing_none_gives_the_whole_set_back(page: Page):
    page.locator(".st-key-map-none button").click()
    page.get_by_text("The whole reference set").wait_for()
    assert page.get_by_text("samples are chosen").count() == 0
