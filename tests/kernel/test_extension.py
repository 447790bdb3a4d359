"""``%load_ext mtor_kernel`` where the kernel is not MTOR's, or there is no kernel."""

import itertools
import os
import subprocess
import sys

import pytest

from tests.kernel.driving import Kernel, kernel
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = pytest.mark.slow


def test_it_loads_into_the_plain_python_kernel(python: Kernel) -> None:
    ran = python.run("%mtor ask hello")
    assert ran.plain.startswith("hello\n\necho · ")
    assert len(ran.display_ids) == 1
    assert python.value("type(realm).__name__") == "'Realm'"


def test_plain_python_stays_python_there(python: Kernel) -> None:
    assert python.run("Computer, tell me more").status == "error"


def test_it_can_be_loaded_again(python: Kernel) -> None:
    assert python.run("%reload_ext mtor_kernel").status == "ok"
    assert python.run("%mtor ask hello").status == "ok"


def test_a_name_that_is_taken_is_left_alone_and_it_can_be_unloaded(realm: RealmElsewhere) -> None:
    with kernel("python3", **realm.environment) as plain:
        plain.run("realm = 'mine'\n%load_ext mtor_kernel")
        assert plain.value("realm") == "'mine'"
        assert plain.run("%mtor ask hello").status == "ok"
        plain.run("%unload_ext mtor_kernel")
        assert plain.run("%mtor ask hello").status == "error" or "not found" in (
            plain.run("%mtor ask hello").printed
        )
        assert plain.value("realm") == "'mine'"


def test_the_realm_of_the_notebook_is_the_one_that_is_asked(realm: RealmElsewhere) -> None:
    with kernel("python3", MTOR_URL="http://127.0.0.1:9/", MTOR_TOKEN="none") as plain:
        url, token = realm.environment.values()
        plain.run(f"import mtor_kernel\nrealm = mtor_kernel.connect({url!r}, {token!r})")
        plain.run("%load_ext mtor_kernel")
        assert plain.run("%mtor ask hello").plain.startswith("hello\n")


def test_it_works_in_a_terminal(realm: RealmElsewhere) -> None:
    program = "%load_ext mtor_kernel\n%mtor ask -m slow bees make honey\n%mtor me"
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", program],
        env={**os.environ, **realm.environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    words = " ".join(itertools.islice(itertools.cycle(["bees", "make", "honey"]), 20))
    assert ran.stdout.startswith(f"{words}\n\nslow · 2")
    assert "owner" in ran.stdout
