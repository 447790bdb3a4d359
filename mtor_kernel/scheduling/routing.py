"""Which model answers: the catalogue, its aliases, and the first of a chain that is well.

A catalogue is written in TOML::

    [aliases]                           # a name → models (or other aliases), best first
    chat = ["smollm2", "echo"]

    [[models]]                          # the fields of ModelSpec
    name = "smollm2"
    modality = "chat"
    backend = "llama_cpp"
    slots = 1
    context_tokens = 8192
    [models.rates]                      # the fields of RateCard, micro-credits
    output_token_micro = 20
    [models.defaults]                   # the fields of Options
    temperature = 0.2
    [models.settings]                   # whatever the backend wants
    file = "smollm2.gguf"
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

import msgspec

from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import (
    BadInput,
    Malformed,
    NoModel,
    RealmError,
    UnknownModel,
)
from mtor_kernel.protocol.query import Modality, ModelName
from mtor_kernel.scheduling.mistakes import line_of, place, where
from mtor_kernel.scheduling.pricing import check_defaults, check_rates

#: How many aliases one may go through to a model.
MAX_DEPTH = 20
#: A chain may mix these: a model that sees also chats.
_TALKING = frozenset({Modality.CHAT, Modality.VISION})


class Catalogue(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """The models that a realm knows, and the other names that stand for them.

    Made by :func:`parse_catalogue` or :func:`build_catalogue`, which see to it that it makes sense.
    """

    models: tuple[ModelSpec, ...] = ()
    #: From an alias to what it stands for, best first: models, or other aliases.
    aliases: dict[ModelName, tuple[ModelName, ...]] = {}

    @cached_property
    def by_name(self) -> dict[str, ModelSpec]:
        """The models by their names."""
        return {spec.name: spec for spec in self.models}


def build_catalogue(
    models: Iterable[ModelSpec], aliases: Mapping[str, Iterable[str]] | None = None
) -> Catalogue:
    """Return the catalogue of `models` and `aliases`.

    Raises
    ------
    BadInput
        Two things have one name, an alias leads nowhere or back to itself, or a chain mixes models
        that cannot stand in for each other. Says which name, and what to do.
    """
    chains = {name: tuple(targets) for name, targets in (aliases or {}).items()}
    catalogue = Catalogue(tuple(models), chains)
    seen: set[str] = set()
    for name in [*(spec.name for spec in catalogue.models), *chains]:
        if name in seen:
            raise BadInput(
                f"The name {name!r} stands twice in the catalogue: rename one of them.", name=name
            )
        seen.add(name)
    heights: dict[str, int] = {}
    for alias, targets in chains.items():
        _check_chain(catalogue, alias, targets, heights)
    return catalogue


def parse_catalogue(text: str) -> Catalogue:
    """Return the catalogue that a TOML text describes.

    Raises
    ------
    BadInput
        It is not TOML, or no catalogue; says in which table, line and field, and what to do.
    """
    try:
        written = msgspec.toml.decode(text, type=Catalogue)
    except msgspec.ValidationError as error:
        raise Malformed(f"The catalogue is not right: {place(str(error), text)}.") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise Malformed(f"The catalogue is not valid TOML: {error}. Mend that line.") from None
    for number, spec in enumerate(written.models):
        for check, key in ((check_rates, "rates"), (check_defaults, "defaults")):
            try:
                check(spec)
            except BadInput as error:
                there = where(text, number, key)
                raise BadInput(f"The catalogue is not right: {error.message} ({there}).") from None
    try:
        return build_catalogue(written.models, written.aliases)
    except BadInput as error:
        line = line_of(text, str(error.details.get("name", "")))
        raise BadInput(f"{error.message} ({line})" if line else error.message) from None


def names(catalogue: Catalogue) -> tuple[str, ...]:
    """Return every name that one may ask for, aliases first, each kind in the order written."""
    return (*catalogue.aliases, *catalogue.by_name)


def entry_of(catalogue: Catalogue, name: str) -> ModelSpec | None:
    """Return the entry that stands for a discovered model of this name, if there is one."""
    head = name
    while "/" in head:
        head = head.rpartition("/")[0]
        spec = catalogue.by_name.get(head)
        if spec is not None and spec.discover:
            return spec
    return None


def expand(catalogue: Catalogue, name: str) -> tuple[ModelSpec, ...]:
    """Return the models that `name` stands for, best first, each once; empty for an unknown one."""
    found = {leaf: catalogue.by_name[leaf] for leaf in _leaves(catalogue, name, set())}
    return tuple(found.values())


def resolve(
    catalogue: Catalogue,
    name: str,
    well: Callable[[str], bool],
    check: Callable[[ModelSpec], object] = lambda spec: None,
) -> ModelSpec:
    """Return the model that shall answer a query for `name`.

    A model stands for itself, well or not: who names it waits for it. Of an alias it is the first
    model that is `well`, or else the first, of those that take the query.

    Parameters
    ----------
    check
        Raises a :class:`RealmError` for a model that does not take the query.

    Raises
    ------
    UnknownModel
        There is no such name; the sentence has those that come close.
    NoModel
        The name is an alias for nothing; the sentence says what to do.
    RealmError
        What `check` has raised of the first model, where it does so of all.
    """
    fit = candidates(catalogue, name, check)
    return next((spec for spec in fit if well(spec.name)), fit[0])


def candidates(
    catalogue: Catalogue, name: str, check: Callable[[ModelSpec], object] = lambda spec: None
) -> tuple[ModelSpec, ...]:
    """Return the models that may answer a query for `name`, best first; at least one.

    Raises as :func:`resolve` does.
    """
    chain = expand(catalogue, name)
    if not chain:
        raise _nobody(catalogue, name)
    fit: list[ModelSpec] = []
    first: RealmError | None = None
    for spec in chain:
        try:
            check(spec)
        except RealmError as error:
            first = first or error
        else:
            fit.append(spec)
    if first is not None and not fit:
        raise first
    return tuple(fit)


def name_for(catalogue: Catalogue, modality: Modality) -> str:
    """Return a name to ask for in a modality: its own alias, or its first model; empty for none."""
    if any(spec.modality is modality for spec in expand(catalogue, modality)):
        return modality
    return next((spec.name for spec in catalogue.models if spec.modality is modality), "")


def _nobody(catalogue: Catalogue, name: str) -> RealmError:
    if name in catalogue.aliases or name == "chat":
        return NoModel(_nothing_serves(name))
    close = _did_you_mean(name, names(catalogue)) or " Ask for the list of models and choose one."
    return UnknownModel(f"There is no model {name!r} here.{close}")


def _leaves(catalogue: Catalogue, name: str, seen: set[str]) -> Iterator[str]:
    if name in seen:
        return
    seen.add(name)
    if name in catalogue.by_name:
        yield name
    for target in catalogue.aliases.get(name, ()):
        yield from _leaves(catalogue, target, seen)


def _check_chain(
    catalogue: Catalogue, alias: str, targets: tuple[str, ...], heights: dict[str, int]
) -> None:
    """Raise unless an alias leads to models, in few steps. `heights` keeps in how many."""
    known = names(catalogue)
    for target in targets:
        if target not in known and entry_of(catalogue, target) is None:
            raise BadInput(
                f"In the catalogue the alias {alias!r} names {target!r}, which is neither a model "
                f"nor an alias: add it or take it out.{_did_you_mean(target, known)}",
                name=alias,
            )
    circle = _circle(catalogue, alias, (), heights)
    if not circle and heights[alias] > MAX_DEPTH:
        raise BadInput(
            f"In the catalogue the alias {alias!r} leads through more than {MAX_DEPTH} others: "
            "name the models themselves.",
            name=alias,
        )
    if circle:
        path = " → ".join(circle)
        raise BadInput(
            f"In the catalogue aliases go round in a circle ({path}): take one out.", name=alias
        )
    kinds = {spec.modality for spec in expand(catalogue, alias)}
    if len(kinds) > 1 and not kinds <= _TALKING:
        mixed = ", ".join(sorted(kinds))
        raise BadInput(
            f"In the catalogue the alias {alias!r} mixes models for {mixed}: make one for each.",
            name=alias,
        )


def _circle(
    catalogue: Catalogue, name: str, path: tuple[str, ...], heights: dict[str, int]
) -> tuple[str, ...]:
    """Return the first way from `name` that comes back to a name on it; empty where none does.

    Of all that are looked at `heights` is then how far they are above their models, as long as it
    is not too far: that ends the search.
    """
    if name in path:
        return (*path[path.index(name) :], name)
    if name in heights:
        return ()
    height = 0
    if len(path) > MAX_DEPTH:
        height = MAX_DEPTH
    else:
        for target in catalogue.aliases.get(name, ()):
            found = _circle(catalogue, target, (*path, name), heights)
            if found:
                return found
            height = max(height, heights.get(target, MAX_DEPTH) + 1)
    heights[name] = height
    return ()


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=3)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def _nothing_serves(name: str) -> str:
    if name == "chat":
        return "No chat model is here yet: run `mtor pull smollm2` for the small built-in one."
    return f"No model stands behind {name!r} yet: ask the sysop to add one to the catalogue."
