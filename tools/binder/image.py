"""Build what stands for the image, and run what stands for a container of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
#: Of the builder's surroundings nothing that leads to another Python, realm or Jupyter.
LEFT_OUT = ("PYTHON", "VIRTUAL_ENV", "MTOR_", "JUPYTER", "IPYTHON", "PYTEST")


class Image:
    """A folder with a copy of the repository and an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        #: The copy: Binder puts it into the home of the person.
        self.home = self.folder / "home"
        #: Where the weights, the ledger and the log are.
        self.data = self.folder / "data"
        self._python = self.folder / "python"

    @property
    def environment(self) -> dict[str, str]:
        """What programs in it see: its own Python first, and its own places for what they keep."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        return own | {
            "PATH": f"{self._python / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "MTOR_DATA": os.fspath(self.data),
            "JUPYTER_CONFIG_DIR": os.fspath(self.folder / "config"),
            "JUPYTER_DATA_DIR": os.fspath(self.folder / "jupyter"),
            "JUPYTER_RUNTIME_DIR": os.fspath(self.folder / "runtime"),
            "IPYTHONDIR": os.fspath(self.folder / "ipython"),
        }

    def build(self) -> None:
        """Make it anew: an empty Python, a copy of what git has, and ``postBuild``."""
        shutil.rmtree(self.folder, ignore_errors=True)
        wanted = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
        here = "{}.{}".format(*sys.version_info)
        if here != wanted:
            print(f"Binder has Python {wanted}; this is {here}.", file=sys.stderr)
        venv.create(self._python, with_pip=True)
        for name in _tracked():
            place = self.home / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place)
        self.data.mkdir()
        subprocess.run(
            [self.home / "binder" / "postBuild"], cwd=self.home, env=self.environment, check=True
        )

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Run a command as Binder runs the server: by ``start``, in the copy."""
        return subprocess.Popen(
            [self.home / "binder" / "start", *command],
            cwd=self.home,
            env=self.environment | environment,
        )

    def run(self, *command: str) -> None:
        """Run a command in it to its end."""
        subprocess.run(command, cwd=self.home, env=self.environment, check=True)


def _tracked() -> list[str]:
    """Return what a clone would hold: what git knows, and what it would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
