"""One wheel holds all that Jupyter, Dask and a fresh machine need."""

import configparser
import email.message
import email.parser
import json
import os
import struct
import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

import mtor_kernel

ROOT = Path(__file__).parent.parent
#: The built panel.
PANEL = "mtor_kernel/labextension"
SHIPPED = "share/jupyter/labextensions/mtor-realm"
KERNELSPEC = ROOT / "kernelspec" / "mtor"
DIST = f"mtor_kernel-{mtor_kernel.__version__}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the source distribution as an installer without wheels would do it."""
    out = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT],
        capture_output=True,
        text=True,
        # The panel is built with what stands beside this interpreter.
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    text = wheel.read(f"{DIST}.dist-info/METADATA").decode()
    return email.parser.Parser().parsestr(text)


def files_under(folder: str, suffix: str = "") -> set[str]:
    found = (ROOT / folder).rglob(f"*{suffix}")
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_the_wheel_holds_both_packages_whole(wheel: zipfile.ZipFile) -> None:
    ours = files_under("mtor_kernel") | files_under("dask_workers")
    ours -= files_under(PANEL)  # Jupyter's shared data, not ours to import
    assert {"mtor_kernel/py.typed", "dask_workers/py.typed"} <= ours
    assert not ours - set(wheel.namelist())


@pytest.mark.slow
def test_the_wheel_holds_the_scripts_of_the_widgets(wheel: zipfile.ZipFile) -> None:
    folder = ROOT / "mtor_kernel" / "widgets" / "js"
    scripts = {f"mtor_kernel/widgets/js/{path.name}" for path in folder.iterdir()}
    assert "mtor_kernel/widgets/js/common.js" in scripts
    assert scripts <= set(wheel.namelist())


@pytest.mark.slow
def test_the_wheel_holds_the_migrations(wheel: zipfile.ZipFile) -> None:
    migrations = files_under("mtor_kernel/storage/migrations")
    if not migrations:
        pytest.skip("there is no store yet")
    assert migrations <= set(wheel.namelist())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("kernelspec/mtor", "share/jupyter/kernels/mtor"),
        ("jupyter-config/jupyter_server_config.d", "etc/jupyter/jupyter_server_config.d"),
        (f"{PANEL}/static", f"{SHIPPED}/static"),
        (f"{PANEL}/schemas/mtor-realm", f"{SHIPPED}/schemas/mtor-realm"),
    ],
)
def test_the_wheel_places_what_jupyter_looks_for(
    wheel: zipfile.ZipFile, folder: str, place: str
) -> None:
    for source in (ROOT / folder).iterdir():
        assert wheel.read(f"{DIST}.data/data/{place}/{source.name}") == source.read_bytes()


@pytest.mark.slow
def test_the_wheel_holds_the_panel_once_and_as_it_is_released(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert not [name for name in names if name.startswith(PANEL)]
    assert not [name for name in names if name.endswith((".map", "build_log.json"))]
    place = f"{DIST}.data/data/{SHIPPED}"
    assert json.loads(wheel.read(f"{place}/install.json"))["packageName"] == "mtor-kernel"
    described = json.loads(wheel.read(f"{place}/package.json"))
    assert described["jupyterlab"]["_build"]["load"].startswith("static/remoteEntry")


@pytest.mark.slow
def test_the_wheel_names_the_command_and_the_backends(wheel: zipfile.ZipFile) -> None:
    entries = configparser.ConfigParser(delimiters=("=",))
    entries.read_string(wheel.read(f"{DIST}.dist-info/entry_points.txt").decode())
    assert dict(entries["console_scripts"]) == {"mtor": "mtor_kernel.cli:main"}
    assert {"echo", "llama_cpp"} <= set(entries["mtor.backends"])


@pytest.mark.slow
def test_the_wheel_asks_for_nothing_by_url_and_pins_nothing(
    metadata: email.message.Message,
) -> None:
    wanted = metadata.get_all("Requires-Dist", [])
    assert wanted
    assert not [one for one in wanted if " @ " in one or "://" in one or "==" in one.split(";")[0]]


@pytest.mark.slow
def test_the_wheel_carries_its_licence(
    wheel: zipfile.ZipFile, metadata: email.message.Message
) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert wheel.read(f"{DIST}.dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_a_plain_install_asks_for_nothing_that_is_an_extra() -> None:
    plain = [one for one in requires("mtor-kernel") or [] if "extra ==" not in one]
    assert not [one for one in plain if one.startswith(("jupyterlab", "xllamacpp", "torch"))]


def test_the_constraints_name_versions_and_no_places() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all("==" in line and "/" not in line and "@" not in line for line in lines)
    assert lines == sorted(lines, key=str.upper)
    assert not [line for line in lines if line.startswith(("mtor", "pip==", "setuptools=="))]


def test_the_kernelspec_starts_the_mtor_kernel() -> None:
    spec = json.loads((KERNELSPEC / "kernel.json").read_text())
    # Jupyter replaces a plain "python" by the interpreter that it found the kernelspec with.
    assert spec["argv"] == ["python", "-m", "mtor_kernel.kernel", "-f", "{connection_file}"]
    assert spec["display_name"] == "MTOR"
    assert spec["language"] == "python"


@pytest.mark.parametrize("side", [32, 64])
def test_the_logos_have_the_size_in_their_name(side: int) -> None:
    header = (KERNELSPEC / f"logo-{side}x{side}.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", header[16:]) == (side, side)
