"""A secret that outlives who made it."""

import stat
from pathlib import Path

from mtor_kernel.hub.secret import LENGTH, kept_secret


def test_a_secret_is_kept_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret"
    made = kept_secret(path)
    assert len(made) == LENGTH
    assert kept_secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_secret_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for broken in ("", "not hex", "abcd"):
        path.write_text(broken)
        assert len(kept_secret(path)) == LENGTH


def test_two_realms_have_two(tmp_path: Path) -> None:
    assert kept_secret(tmp_path / "one") != kept_secret(tmp_path / "two")
