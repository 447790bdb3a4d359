"""Where MTOR keeps what it has made or fetched."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def default_data_dir() -> Path:
    """Return the data directory: ``MTOR_DATA``, or the user's own."""
    return Path(os.environ.get("MTOR_DATA") or platformdirs.user_data_dir("mtor"))
