"""A notebook in a browser: its cells are run as a person runs them."""

import json
from pathlib import Path
from typing import Any

import nbformat
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE_MS


def write_notebook(path: Path, *cells: str, kernel: str = "mtor") -> None:
    """Write a notebook with these cells."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    made.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
    nbformat.write(made, path)


def saved(path: Path) -> dict[str, Any]:
    """Return what lies on the disk."""
    notebook: dict[str, Any] = json.loads(path.read_text())
    return notebook


#: Keeps the tracks of every device that a page was given.
TRACKS = """
window.mtorTracks = [];
const given = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (given) {
  navigator.mediaDevices.getUserMedia = async constraints => {
    const stream = await given(constraints);
    window.mtorTracks.push(...stream.getTracks());
    return stream;
  };
}
"""
#: How many devices are on.
LIVE = "() => window.mtorTracks.filter(track => track.readyState === 'live').length"
#: Whether one was on and none is any more.
RELEASED = "() => mtorTracks.length && mtorTracks.every(track => track.readyState === 'ended')"


async def open_notebook(browser: Browser, address: str, name: str) -> Page:
    """Return a page with the notebook open and its kernel idle, in JupyterLab or Notebook."""
    root, token = address.split("?token=")
    in_lab = root.endswith("/lab")
    where = f"{root}/tree/{name}" if in_lab else root.replace("/tree", f"/notebooks/{name}")
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    await page.add_init_script(TRACKS)
    await page.goto(f"{where}?token={token}" + ("&reset" if in_lab else ""))
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_MS)
    await page.wait_for_function(KERNEL_IDLE, timeout=PATIENCE_MS)
    return page


#: A kernel has said that it is idle: a cell that is run before is dropped without a word.
KERNEL_IDLE = """() => {
  const shell = window.jupyterapp.shell;
  const panel = shell.currentWidget;
  return panel?.sessionContext?.session?.kernel?.status === 'idle';
}"""


async def run_cell(page: Page, number: int) -> Locator:
    """Run one cell and return it, without waiting for its end."""
    cell = page.locator(".jp-CodeCell").nth(number)
    await cell.locator(".cm-content").click()
    await page.keyboard.press("Control+Enter")
    return cell


async def busy(page: Page) -> str:
    """Return what the kernel says of itself."""
    status: str = await page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    )
    return status


async def interrupt(page: Page) -> None:
    """Interrupt the kernel."""
    await page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
    )


async def save(page: Page) -> None:
    """Save the notebook."""
    await page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


async def ended(cell: Locator) -> None:
    """Wait until a cell has run."""
    await expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[*]:")
