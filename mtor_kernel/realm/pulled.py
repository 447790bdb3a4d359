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
    models, aliases = list(catalogue.models), dict(catalogue.aliases)
    for added in _read(folder):
        taken = {spec.name for spec in models} | set(aliases)
        models += [spec for spec in added.models if spec.name not in taken]
        for alias, chain in added.aliases.items():
            before = aliases.get(alias, ())
            if lead or alias not in catalogue.aliases:
                aliases[alias] = (*before, *(name for name in chain if name not in before))
    if lead:
        for alias, chain in catalogue.aliases.items():
            aliases[alias] = (*(name for name in aliases[alias] if name not in chain), *chain)
    return build_catalogue(models, aliases)


def _read(folder: Path) -> list[Catalogue]:
    try:
        paths = sorted(folder.glob("*.toml"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []
    found = []
    for path in paths:
        try:
            found.append(parse_catalogue(path.read_text("utf-8")))
        except (RealmError, OSError, UnicodeDecodeError) as error:
            log.warning("%s is left out: %s", path, error)
    return found
