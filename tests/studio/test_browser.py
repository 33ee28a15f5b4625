"""The studio in a browser, on a screen and on a phone: from data to an audit, 20 tiles by keys, a mask by the mouse."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

from bench_folder import make_bench
from browser import browsing, faults_of
from serving import listening
from toy import TOY, write_tiles
from veridical.scoring.review import review
from veridical.studio.app import app_of
from veridical.studio.house import House
from veridical.studio.making import make_review
from veridical.studio.place import Place
from veridical.training.start import train

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SCREEN, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def opened(folder):
    """Opens the studio of `folder` on a screen of some size; nothing may go to another host or be logged as an error."""
    house = House(Place(folder), device="cpu")
    with listening(house, functools.partial(app_of, house)) as url, browsing() as browser:
        pages, wrong = [], []

        def open_page(size, part="reviews"):
            page = browser.new_page(viewport=size)
            page.on(
                "request", lambda request: request.url.startswith((url, "blob:", "data:")) or wrong.append(request.url)
            )
            page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(f"{url}/#{part}")
            pages.append(page)
            return page

        yield open_page
        house.end()
        assert not wrong


def fits(page):
    """Whether nothing reaches beyond the screen."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def begin(page, reviewer):
    page.get_by_label("Your name").fill(reviewer)
    page.keyboard.press("Enter")
    page.locator("#tile").wait_for()


def tile(page, k):
    """Wait until tile k of 20 is there."""
    page.locator(f'[aria-busy=false] h2:text-is("Tile {k + 1} of 20")').wait_for()


@pytest.mark.parametrize("size", [SCREEN, PHONE], ids=["screen", "phone"])
def test_a_review_of_20_tiles_is_done_by_keys(folder, opened, size):
    path = make_review(folder / "real", folder / "synth", folder / "reviews" / "a", tiles=10)
    page = opened(size)
    begin(page, "Ann")
    for k in range(20):
        tile(page, k)
        assert fits(page) and page.locator("#tile").bounding_box()["width"] == 72
        if k == 5:  # back, and another answer
            page.keyboard.press("Backspace")
            tile(page, 4)
            page.keyboard.press("r")
            tile(page, 5)
        if k == 10:  # the page is closed, and opened again
            page.reload()
            begin(page, "Ann")
            tile(page, 10)
        if k % 2:
            page.keyboard.press("s")
            page.keyboard.press("1")
            page.keyboard.press("2")
            page.keyboard.press("2")
            assert not (k == 1 and faults_of(page))
            page.keyboard.press("Enter")
        else:
            page.keyboard.press("r")
    page.get_by_role("heading", name="Results").wait_for()
    assert fits(page) and not faults_of(page)
    answers = [json.loads(line) for line in (path / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 21 and len({one["tile"] for one in answers}) == 20
    assert all(one["reasons"] == (["blank"] if one["answer"] == "synthetic" else []) for one in answers)
    rate = review(path)[0]["value"]
    assert f"{rate:.0%} of their answers" in page.locator("#verdict").text_content()


def test_a_review_is_made_in_the_page(folder, opened):
    page = opened(SCREEN)
    assert not faults_of(page)
    for label, text in {
        "Real images": "real",
        "Synthetic images": "synth",
        "Name of the review": "x",
        "Tiles of each": "5",
    }.items():
        page.locator("#make-form").get_by_label(label).fill(text)
    page.get_by_role("button", name="Make").click()
    page.get_by_text("reviews/x is made").wait_for(timeout=60_000)
    begin(page, "Ben")
    assert page.locator("#tile-title").text_content() == "Tile 1 of 10"
    page.get_by_role("button", name="Synthetic").click()
    page.get_by_label("blurred").check()
    page.get_by_role("button", name="Next").click()
    page.get_by_text("Tile 2 of 10").wait_for()
    assert "blur" in (folder / "reviews" / "x" / "answers.jsonl").read_text()


def test_a_mask_is_painted_with_the_mouse_and_an_edit_runs(folder, opened):
    train("edm", folder / "real", folder / "edm", steps=1, size=16, batch=4, threads=1, quiet=True, **TOY["edm"])
    page = opened(SCREEN)
    page.get_by_role("button", name="Edit with a mask").click()
    page.get_by_label("Run of").select_option("edm")
    page.locator("#edit-form [name=images]").fill("real")
    page.keyboard.press("Tab")
    page.locator("#easel").wait_for()
    box = page.locator("#canvas").bounding_box()
    scale = box["width"] / 24
    page.mouse.move(box["x"] + 6.5 * scale, box["y"] + 8.5 * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + 15.5 * scale, box["y"] + 8.5 * scale)
    page.mouse.up()
    assert fits(page) and not faults_of(page)
    page.get_by_role("button", name="Edit", exact=True).click()
    page.locator("#edited").wait_for(timeout=60_000)
    mask = np.asarray(Image.open(folder / "edits" / "0001" / "mask.png")) > 0
    rows, columns = np.nonzero(mask)
    assert mask.shape == (24, 24) and mask[8, 6:16].all()  # without gaps, in pixels of the image
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 10, 4, 17)
    changed = np.asarray(Image.open(next((folder / "edits" / "0001" / "edited" / "changed").rglob("*.png")))) > 0
    assert changed.any() and not (changed & ~mask).any()
    assert not faults_of(page)


def test_a_mask_is_painted_by_keys_on_a_phone(folder, opened):
    page = opened(PHONE)
    page.get_by_role("button", name="Edit with a mask").click()
    page.locator("#edit-form [name=images]").fill("real")
    page.keyboard.press("Tab")
    page.locator("#easel").wait_for()
    page.locator("#canvas").focus()
    for key in ("[", "[", "[", "[", "[", "Space", "ArrowRight", "Shift+ArrowDown", "Space"):
        page.keyboard.press(key)
    assert page.locator("#marked").text_content() == "0.3 % marked"  # two of 576 pixels
    page.keyboard.press("e")
    page.keyboard.press("Space")
    assert page.locator("#marked").text_content() == "0.2 % marked" and fits(page)


SLOW = 240_000  # milliseconds that a command may take on a busy machine


def test_from_data_to_an_audit(folder, opened):
    write_tiles(folder / "scans", n=60, size=32, dtype="uint16")
    page = opened(SCREEN, "data")
    page.locator("#data-form").get_by_label("Images").fill("scans")
    page.locator("#data-form").get_by_label("Tile").fill("16")
    page.get_by_role("button", name="Look", exact=True).click()
    page.locator("#data-found").wait_for(timeout=SLOW)
    assert "16 bits" in page.locator("#data-facts").text_content() and page.locator("#data-slices img").count() == 3
    assert (
        "veridical data" in page.locator("[data-work=data] code").text_content() and fits(page) and not faults_of(page)
    )
    page.get_by_role("button", name="Train with these").click()
    form = page.locator("#train-form")
    assert form.locator("[name=data]").input_value() == "scans"
    form.get_by_label("System").select_option("vae")
    form.get_by_label("Minutes").fill("20")
    form.get_by_label("Tile in pixels").fill("16")
    assert form.get_by_label("Name").input_value() == "vae-scans" and fits(page) and not faults_of(page)
    page.get_by_role("button", name="Train", exact=True).click()
    page.locator("#watch-losses svg").wait_for(timeout=SLOW)
    page.locator("#watch-grids img").wait_for()
    page.reload()  # it goes on, and is found again
    page.locator("#watch-losses svg").wait_for()
    page.locator("[data-work=train] progress").wait_for()
    assert fits(page) and not faults_of(page)
    page.locator("[data-work=train]").get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Go on with it").wait_for(timeout=SLOW)
    said = json.loads((folder / "runs" / "vae-scans" / "run.json").read_text())
    assert not said["finished"] and said["cost"]["steps"] > 0
    page.get_by_label("Minutes in all").fill("0.01")
    page.get_by_role("button", name="Go on with it").click()
    page.get_by_text("runs/vae-scans is trained.").wait_for(timeout=SLOW)
    assert json.loads((folder / "runs" / "vae-scans" / "run.json").read_text())["finished"]
    page.get_by_role("button", name="Draw samples of it").click()
    page.locator("#sample-form").get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.locator("#sample-seen").wait_for(timeout=SLOW)
    assert "64 images in samples/vae-scans-7" in page.locator("#sample-count").text_content()
    assert page.evaluate("document.getElementById('sample-grid').naturalWidth") > 100 and not faults_of(page)
    page.get_by_role("button", name="Audit them").click()
    page.locator("#audit-form").get_by_role("button", name="Audit").click()
    page.locator("#audit-frame iframe").wait_for(timeout=SLOW)
    page.frame_locator("#audit-frame iframe").get_by_role("heading", name="Audit:").wait_for()
    page.get_by_role("button", name="Score", exact=True).click()
    page.locator("#score-said").get_by_text("distance to real").wait_for(timeout=SLOW)
    assert fits(page) and not faults_of(page)
    page.get_by_role("button", name="Ask experts, too").click()
    form = page.locator("#make-form")
    found = [form.locator(f"[name={name}]").input_value() for name in ("real", "synth", "name")]
    assert found == ["runs/vae-scans", "samples/vae-scans-7", "vae-scans-7"] and fits(page) and not faults_of(page)


def test_reports_and_trainings_are_seen_on_a_phone(folder, opened):
    from veridical.reporting.report import report

    train(
        "edm", folder / "real", folder / "runs" / "edm", steps=1, size=16, batch=4, threads=1, quiet=True, **TOY["edm"]
    )
    report(make_bench(folder / "bench", {"fibres": "gravel"}))
    page = opened(PHONE, "compare")
    page.get_by_label("Reports").select_option("bench/report.html")
    page.frame_locator("#report-frame iframe").get_by_role("heading", level=1).wait_for()
    assert fits(page) and not faults_of(page)
    page.get_by_role("button", name="Training").focus()
    page.keyboard.press("Enter")
    page.locator("#watch-run").select_option("runs/edm")
    page.locator("#watch-grids img").first.wait_for()
    assert "edm on" in page.locator("#watch-about").text_content() and fits(page) and not faults_of(page)
    page.go_back()
    page.get_by_role("heading", name="Compare systems").wait_for()
    page.evaluate("location.hash = '#audit'")  # as an address that is typed, or a bookmark
    page.get_by_role("heading", name="Audit", exact=True).wait_for()
