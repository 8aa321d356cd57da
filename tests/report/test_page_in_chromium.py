"""The page in a real browser: light, dark and on a phone, without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import report_example
from uncensor_trainer.stages import report
from uncensor_trainer.workspace import Workspace

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists() and os.environ.get("CI") != "true":
    pytest.skip(f"{CHROMIUM} is not installed", allow_module_level=True)

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

VIEWS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}


@dataclass
class Seen:
    """A page and everything that it did."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    run = report_example.a_run(root)
    # Words without a place to break are what makes pages wider than a phone.
    samples = Workspace(root, run.run).output("evaluate") / "samples.jsonl"
    long = {"response": "x" * 300 + " </script><img src=x onerror=alert(1)>", "class": "none"}
    row = {"id": "long", "prompt": "y" * 200, "answers": {"filtered": long}}
    report_example.write_lines(root / "one", [row])
    samples.write_text((root / "one").read_text() + samples.read_text())
    out = root / "out"
    out.mkdir()
    report.run(report_example.a_context(run), out)
    return out


@pytest.fixture
def opened(browser: Browser, written: Path) -> Iterator[Any]:
    contexts = []

    def opened(view: str, name: str = "index.html", **options: Any) -> Seen:
        context = browser.new_context(**VIEWS[view], **options)
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("console", lambda message: seen.complaints.append(message.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.goto((written / name).as_uri())
        return seen

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_is_quiet_and_fits(opened: Any, written: Path, view: str, tmp_path: Path) -> None:
    seen = opened(view)
    shoot(seen.page, tmp_path / f"report-{view}.png")

    # Everything unfolded is the hard case.
    seen.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    cut = seen.page.evaluate(
        """[...document.querySelectorAll('main *, header *')].filter(e =>
            !e.closest('.scroll, pre, svg') && e.getBoundingClientRect().right > innerWidth + 1
        ).map(e => e.outerHTML.slice(0, 80))"""
    )

    assert width <= VIEWS[view]["viewport"]["width"]
    assert cut == []
    assert seen.requests == [(written / "index.html").as_uri()]
    assert seen.complaints == []


@pytest.mark.parametrize("view", ["light", "phone"])
def test_bars_are_visible_and_as_long_as_their_rates(opened: Any, view: str) -> None:
    page = opened(view).page

    boxes = {
        bar.get_attribute("data-arm"): bar.bounding_box()
        for bar in page.locator("figure rect.bar").all()
    }

    assert all(box["width"] > 2 and box["height"] > 10 for box in boxes.values())
    ratio = boxes["control"]["width"] / boxes["filtered"]["width"]
    assert ratio == pytest.approx(21, rel=0.05)
    assert boxes["baseline"]["width"] / boxes["filtered"]["width"] == pytest.approx(17, rel=0.05)


def test_text_in_drawings_keeps_its_size_on_a_phone(opened: Any) -> None:
    size = "getComputedStyle(document.querySelector('figure text.note')).fontSize"
    height = "document.querySelector('figure text.note').getBoundingClientRect().height"

    wide, narrow = opened("light").page, opened("phone").page

    assert wide.evaluate(size) == narrow.evaluate(size) == "12px"
    assert wide.evaluate(height) == pytest.approx(narrow.evaluate(height), abs=1)


def test_the_dark_page_is_dark(opened: Any) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"

    assert opened("light").page.evaluate(colour) == "rgb(245, 246, 248)"
    assert opened("dark").page.evaluate(colour) == "rgb(14, 18, 23)"


def shown_samples(page: Page) -> int:
    return page.locator("#answers .sample:visible").count()


def test_only_differing_answers_stay_when_asked(opened: Any) -> None:
    page = opened("light").page
    differing = page.locator("#answers .sample[data-differs]").count()

    page.get_by_label("Only where the arms differ").check()

    assert shown_samples(page) == differing
    assert page.locator("#answers output").inner_text() == f"{differing} of 49 shown"
    page.get_by_label("Only where the arms differ").uncheck()
    assert shown_samples(page) == 49


def test_the_search_finds_words_in_folded_samples(opened: Any) -> None:
    page = opened("light").page
    box = page.locator("#answers input[type=search]")

    box.fill("CANDLE wax")
    assert shown_samples(page) == 2
    box.fill("no such words")
    assert shown_samples(page) == 0


def test_without_scripts_all_is_there_and_no_dead_controls(opened: Any) -> None:
    page = opened("light", java_script_enabled=False).page

    assert page.locator("#answers .sample").count() == 49
    assert shown_samples(page) == 8
    assert not page.locator("#answers input[type=search]").is_visible()
    page.locator("#answers details.rest > summary").click()
    assert shown_samples(page) == 49


@pytest.mark.parametrize("view", ["light", "dark"])
def test_the_picture_is_drawn_alone(opened: Any, view: str, tmp_path: Path) -> None:
    seen = opened(view, "picture.svg")
    boxes = [bar.bounding_box() for bar in seen.page.locator("rect.bar").all()]
    shoot(seen.page, tmp_path / f"picture-{view}.png", full_page=False)

    assert boxes[1]["width"] / boxes[0]["width"] == pytest.approx(21, rel=0.05)
    assert seen.complaints == []


def shoot(page: Page, path: Path, *, full_page: bool = True) -> None:
    """Take a picture; UNCENSOR_SCREENSHOTS names a folder to keep it in.

    Chromium never ends taking the full page of a document that is not HTML.
    """
    page.screenshot(path=path, full_page=full_page)
    assert path.stat().st_size > 10_000
    wanted = os.environ.get("UNCENSOR_SCREENSHOTS")
    if wanted:
        Path(wanted).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, wanted)
