"""Models that were pulled: catalogue files of one model each, in a folder of their own."""

from __future__ import annotations

import logging
from pathlib import Path

from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.scheduling.routing import Catalogue, build_catalogue, parse_catalogue

log = logging.getLogger(__name__)

#: The folder's name within the data directory.
FOLDER = "models.d"


def with_pulled(catalogue: Catalogue, folder: Path, *, lead: bool) -> Catalogue:
    """Return `catalogue` and what the files of `folder` add to it, the latest first.

    The catalogue's own names stay what they are. A file that is wrong is left out, and logged.

    Parameters
    ----------
    lead
        Whether a pulled model goes before those that an alias of the catalogue has: so with the
        built-in catalogue, whose models are the last resort. An operator's aliases stay as they
        were written, and only those are added that it has not.
    """
    whole = catalogue
    for path, added in _read(folder):
        try:
            whole = _with(whole, added, catalogue, lead)
        except RealmError as error:
            log.warning("%s is left out: %s", path, error)
    return whole


def _with(whole: Catalogue, added: Catalogue, own: Catalogue, lead: bool) -> Catalogue:
    """Return `whole` and what `added` adds; `own` is the catalogue without anything pulled."""
    aliases = dict(whole.aliases)
    taken = {*whole.by_name, *aliases}
    models = [*whole.models, *(spec for spec in added.models if spec.name not in taken)]
    for alias, chain in added.aliases.items():
        if not lead and alias in own.aliases:
            continue
        written = own.aliases.get(alias, ())
        pulled = [name for name in aliases.get(alias, ()) if name not in written]
        pulled += [name for name in chain if name not in (*written, *pulled)]
        aliases[alias] = (*pulled, *written)
    return build_catalogue(models, aliases)


def _read(folder: Path) -> list[tuple[Path, Catalogue]]:
    try:
        paths = sorted(folder.glob("*.toml"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []
    found = []
    for path in paths:
        try:
            found.append((path, parse_catalogue(path.read_text("utf-8-sig"))))
        except (RealmError, OSError, UnicodeDecodeError) as error:
            log.warning("%s is left out: %s", path, error)
    return found
