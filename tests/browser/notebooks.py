"""A notebook in a browser: its cells are run as a person runs them."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.panel import PATIENCE_MS


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


async def open_document(page: Page, path: str) -> None:
    """Open a file in a lab's page, as from the file browser."""
    await page.evaluate(
        "async path => { await jupyterapp.commands.execute('docmanager:open', { path }) }", path
    )


async def open_another(page: Page, name: str) -> None:
    """Open a notebook in a lab's page in place of those that are open, and wait for its kernel."""
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.evaluate(CLOSE)
    await expect(page.locator(".jp-Notebook")).to_have_count(0)
    await open_document(page, name)
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_MS)
    await page.wait_for_function(KERNEL_IDLE, timeout=PATIENCE_MS)


#: Saves all notebooks, so that nobody is asked, and closes them; ends their kernels.
CLOSE = """async () => {
  for (const panel of [...window.jupyterapp.shell.widgets('main')]) {
    await panel.context?.save();
    panel.close();
  }
  await window.jupyterapp.serviceManager.sessions.shutdownAll();
  window.mtorTracks = [];
}"""
#: A kernel has said that it is idle: a cell that is run before is dropped without a word.
#: Which of the shell's widgets is the current one says nothing: a slow page may have none.
KERNEL_IDLE = """() => [...window.jupyterapp.shell.widgets('main')].some(
  panel => panel.sessionContext?.session?.kernel?.status === 'idle'
)"""


async def run_cell(page: Page, number: int) -> Locator:
    """Run one cell and return it, once it is on its way and without waiting for its end."""
    cell = page.locator(".jp-CodeCell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    before = await prompt.inner_text()
    await cell.locator(".cm-content").click()
    # By its command: whatever takes the keyboard meanwhile, it runs the cell that was clicked.
    await page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:run-cell') }")
    await expect(prompt).not_to_have_text(before)
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
    """Wait until a cell has run: it has its number then, and none before."""
    await expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"^\[\d+\]:$"))
