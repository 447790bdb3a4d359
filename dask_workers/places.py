"""Where the files of a model lie: weights that were pulled, or a folder of the operator's."""

from __future__ import annotations

from pathlib import Path

from dask_workers.weights import BUNDLES, find


def locate(
    path: str, weights: str, data_dir: str, needed: tuple[tuple[str, ...], ...]
) -> Path | str:
    """Return the folder of a model, or a sentence that says what is missing.

    Parameters
    ----------
    path, weights, data_dir
        The settings of those names: a folder, or else the name of a bundle.
    needed
        Files that the folder must hold: of each group, one of the names.
    """
    if path:
        return _given(Path(path).expanduser(), needed)
    if weights not in BUNDLES:
        names = ", ".join(sorted(BUNDLES))
        return f"There are no built-in weights named {weights!r}; there are: {names}."
    return find(weights, data_dir or None) or f"Its weights are not here: mtor pull {weights}."


def _given(folder: Path, needed: tuple[tuple[str, ...], ...]) -> Path | str:
    if not folder.is_dir():
        return f"There is no folder {folder} (settings.path)."
    for names in needed:
        if not any((folder / name).is_file() for name in names):
            return f"The folder {folder} holds no {' or '.join(names)} (settings.path)."
    return folder
