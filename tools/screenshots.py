"""Take the screenshots in `docs/images/` of a running app, with Chromium through Playwright.

make run PORT=8601 ARGS="--server.headless true" &
python -m tools.screenshots http://localhost:8601
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import typer
from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"

WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


def chromium() -> str:
    """Return the path of the machine's Chromium."""
    given = os.environ.get("R2T2_CHROMIUM")
    found = given or next(
        (
            path
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (path := shutil.which(name))
        ),
        None,
    )
    if not found:
        raise FileNotFoundError(
            "No Chromium was found. Install it (Debian: apt-get install chromium) or name it "
            "in R2T2_CHROMIUM."
        )
    return found


def settle(page: Page) -> None:
    """Wait until the app has finished running."""
    page.wait_for_selector("h1", timeout=120_000)
    page.wait_for_timeout(600)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=\"stStatusWidget\"]')", timeout=120_000
    )
    page.wait_for_timeout(900)


def shoot(page: Page, path: Path) -> None:
    """Take a screenshot, in 256 colours, which the eye does not tell from all of them."""
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256).save(path, optimize=True)


def main(address: str, out: Path = IMAGES) -> None:
    """Take home, welcome, answer, details, comparison, Japanese, composer: each size and theme."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        for size, (width, height) in WIDTHS.items():
            for theme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB"
                )
                page = context.new_page()
                page.goto(address)
                page.wait_for_selector(".player", timeout=120_000)
                # The animation has played.
                page.wait_for_timeout(16_000)
                shoot(page, out / f"home-{size}-{theme}.png")
                page.goto(f"{address}/rerouting")
                settle(page)
                shoot(page, out / f"welcome-{size}-{theme}.png")
                page.locator(".st-key-go button").click()
                page.wait_for_selector(".r2-cards", timeout=60_000)
                settle(page)
                shoot(page, out / f"answer-{size}-{theme}.png")
                page.set_viewport_size({"width": width, "height": 4200 if size == "wide" else 9500})
                settle(page)
                shoot(page, out / f"whole-{size}-{theme}.png")
                page.set_viewport_size({"width": width, "height": height})
                page.goto(f"{address}/comparison")
                page.wait_for_selector(".js-plotly-plot", timeout=60_000)
                settle(page)
                shoot(page, out / f"compare-{size}-{theme}.png")
                context.close()
        for size, (width, height) in WIDTHS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, locale="ja-JP"
            )
            page = context.new_page()
            page.goto(f"{address}/rerouting")
            settle(page)
            page.locator(".st-key-go button").click()
            page.wait_for_selector(".r2-cards", timeout=60_000)
            settle(page)
            shoot(page, out / f"japanese-{size}.png")
            page.locator(".st-key-source button").nth(2).click()
            page.wait_for_selector(".palette button", timeout=60_000)
            for number in (2, 9, 14, 20, 36):
                page.locator(".palette button").nth(number).click()
                page.wait_for_timeout(400)
            settle(page)
            shoot(page, out / f"composer-{size}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    typer.run(main)
