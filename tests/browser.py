"""A headless Chromium of this machine; tests that need one skip where there is none."""

import contextlib
import os
import shutil

import pytest


@contextlib.contextmanager
def browsing():
    """A browser while the block lasts (`CHROMIUM` names another than the one on the path)."""
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright here (pip install -e .[dev])")
    path = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if path is None:
        pytest.skip("no Chromium here (apt-get install chromium, or set CHROMIUM)")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def faults_of(page):
    """What axe-core finds wrong with a page: contrast, names, roles, order of headings."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe-core here (pip install -e .[dev])"
    )
    found = axe.Axe().run(page).response["violations"]
    return [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in found]
