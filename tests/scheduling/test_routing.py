"""Which model answers, and what a faulty catalogue is told."""

from collections.abc import Callable

import pytest

from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BadInput, Forbidden, Malformed, NoModel, UnknownModel
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.protocol.query import Modality
from mtor_kernel.scheduling.fit import check_role
from mtor_kernel.scheduling.routing import (
    MAX_DEPTH,
    Catalogue,
    build_catalogue,
    candidates,
    expand,
    name_for,
    names,
    parse_catalogue,
    resolve,
)
from tests.scheduling.examples import make_spec

TOML = """\
[aliases]
chat = ["smollm2", "echo"]
fast = ["echo"]

[[models]]
name = "smollm2"
modality = "chat"
backend = "llama_cpp"
slots = 2
context_tokens = 8192
[models.rates]
output_token_micro = 20
[models.defaults]
temperature = 0.2
[models.settings]
file = "smollm2.gguf"

[[models]]
name = "echo"
modality = "chat"
backend = "echo"
rates = { free = true }
"""


def everything(_: str) -> bool:
    return True


def nothing(_: str) -> bool:
    return False


@pytest.fixture
def catalogue() -> Catalogue:
    return build_catalogue(
        [make_spec("smollm2"), make_spec("echo"), make_spec("big")],
        {"chat": ["smollm2", "echo"], "best": ["big", "chat"], "vision": []},
    )


def test_a_model_stands_for_itself_even_when_it_is_not_well(catalogue: Catalogue) -> None:
    assert resolve(catalogue, "echo", nothing).name == "echo"


def test_an_alias_is_the_first_of_its_models_that_is_well(catalogue: Catalogue) -> None:
    assert resolve(catalogue, "chat", everything).name == "smollm2"
    assert resolve(catalogue, "chat", {"echo"}.__contains__).name == "echo"


def test_an_alias_of_which_nothing_is_well_is_its_first_model(catalogue: Catalogue) -> None:
    assert resolve(catalogue, "chat", nothing).name == "smollm2"


def test_aliases_lead_through_aliases(catalogue: Catalogue) -> None:
    assert [spec.name for spec in expand(catalogue, "best")] == ["big", "smollm2", "echo"]
    assert resolve(catalogue, "best", {"echo"}.__contains__).name == "echo"


def test_an_unknown_name_is_refused_with_names_that_come_close(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownModel, match=r"no model 'smolm2' here. Did you mean 'smollm2'\?"):
        resolve(catalogue, "smolm2", everything)
    with pytest.raises(UnknownModel, match="Ask for the list of models"):
        resolve(catalogue, "zzzzzz", everything)


def test_an_alias_for_nothing_says_what_to_do(catalogue: Catalogue) -> None:
    with pytest.raises(NoModel, match="No model stands behind 'vision' yet: ask the sysop"):
        resolve(catalogue, "vision", everything)


@pytest.mark.parametrize("aliases", [{}, {"chat": []}])
def test_a_realm_without_a_chat_model_names_the_command(aliases: dict[str, list[str]]) -> None:
    with pytest.raises(NoModel, match="mtor pull smollm2"):
        resolve(build_catalogue([], aliases), "chat", everything)


def test_every_name_is_listed(catalogue: Catalogue) -> None:
    assert names(catalogue) == ("chat", "best", "vision", "smollm2", "echo", "big")


def test_a_name_may_stand_only_once() -> None:
    with pytest.raises(BadInput, match="'echo' stands twice"):
        build_catalogue([make_spec("echo"), make_spec("echo")])
    with pytest.raises(BadInput, match="'echo' stands twice"):
        build_catalogue([make_spec("echo")], {"echo": ["echo"]})


def test_an_alias_may_not_lead_nowhere() -> None:
    with pytest.raises(BadInput, match=r"'chat' names 'eco'.*Did you mean 'echo'\?"):
        build_catalogue([make_spec("echo")], {"chat": ["eco"]})


@pytest.mark.parametrize(
    ("aliases", "circle"),
    [
        ({"a": ["a"]}, "a → a"),
        ({"a": ["b"], "b": ["echo", "c"], "c": ["a"]}, "a → b → c → a"),
        ({"x": ["a"], "a": ["b"], "b": ["a"]}, "a → b → a"),
    ],
)
def test_aliases_may_not_go_round_in_a_circle(aliases: dict[str, list[str]], circle: str) -> None:
    with pytest.raises(BadInput, match="in a circle") as refused:
        build_catalogue([make_spec("echo")], aliases)
    assert f"({circle})" in refused.value.message


def ladder(steps: int, *, twice: bool = False) -> dict[str, list[str]]:
    """Aliases of which each names the next, the last one a model."""
    names = [f"{side}{at}" for at in range(steps) for side in ("a", "b")]
    deeper = {name: [f"{side}{int(name[1:]) + 1}" for side in "ab"[: 1 + twice]] for name in names}
    return {**deeper, f"a{steps - 1}": ["echo"], f"b{steps - 1}": ["echo"]}


@pytest.mark.parametrize("turned", [False, True])
def test_aliases_lead_to_a_model_in_few_steps(turned: bool) -> None:
    def build(steps: int) -> Catalogue:
        aliases = list(ladder(steps).items())
        return build_catalogue([make_spec("echo")], dict(aliases[::-1] if turned else aliases))

    (found,) = expand(build(MAX_DEPTH), "a0")
    assert found.name == "echo"
    for steps in (MAX_DEPTH + 1, 3000):
        with pytest.raises(BadInput, match="through more than 20 others"):
            build(steps)


def test_as_many_ways_as_there_may_be_take_no_longer_than_few() -> None:
    catalogue = build_catalogue([make_spec("echo")], ladder(MAX_DEPTH, twice=True))  # 2 ** 20 ways
    assert [spec.name for spec in expand(catalogue, "a0")] == ["echo"]


def test_a_chain_may_mix_talking_and_seeing_but_not_talking_and_drawing() -> None:
    models = [make_spec(kind, modality=Modality(kind)) for kind in ("chat", "vision", "image")]
    build_catalogue(models, {"any": ["chat", "vision"]})
    with pytest.raises(BadInput, match="'any' mixes models for chat, image"):
        build_catalogue(models, {"any": ["chat", "image"]})


def test_a_catalogue_is_read_from_toml() -> None:
    catalogue = parse_catalogue(TOML)
    smollm2, echo = catalogue.models
    assert (smollm2.slots, smollm2.context_tokens, smollm2.rates.output_token_micro) == (
        2,
        8192,
        20,
    )
    assert smollm2.defaults.temperature == 0.2
    assert smollm2.settings == {"file": "smollm2.gguf"}
    assert echo.rates.free
    assert catalogue.aliases == {"chat": ("smollm2", "echo"), "fast": ("echo",)}


def test_an_empty_catalogue_is_one() -> None:
    assert parse_catalogue("") == build_catalogue([])


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (("slots = 2", "slots = "), r"not valid TOML: .*line 9"),
        (("slots = 2", "slots = 'two'"), r"number 1 that begins in line 5, at slots"),
        (("slots = 2", "slots = 0"), r">= 1.*line 5, at slots"),
        (("slots = 2", "slot = 2"), r"unknown field `slot`: mend its spelling.*line 5"),
        (
            ('name = "echo"', 'name = "Echo 1"'),
            r"lower-case.*number 2 that begins in line 18, at name",
        ),
        (("rates = { free = true }", ""), r"missing required field `rates`: add it.*line 18"),
        (("free = true", "free = false"), r"a rate card prices at least one.*line 18, at rates"),
        (("slots = 2", "slots = 0"), r"at slots in line 9"),
        (("temperature = 0.2", "temperature = 9"), r"at defaults.temperature in line 13"),
        (("output_token_micro = 20", "output_token = 20"), r"at rates in line 11"),
        (
            ("output_token_micro = 20", "image_micro = 20"),
            r"prices nothing that chat uses.*price one of query_micro, .*at rates in line 11",
        ),
        (("[aliases]", "[alias]"), r"unknown field `alias`: mend its spelling.*in line 1"),
        (("[aliases]", "slots = 3\n[aliases]"), r"unknown field `slots`.*in line 1"),
        (('fast = ["echo"]', "fast = 3"), r"in aliases, at 'fast', in line 3"),
        (('fast = ["echo"]', 'fast = ["E O"]'), r"lower-case.*in aliases, at 'fast', in line 3"),
        (('fast = ["echo"]', '"A B" = ["echo"]'), r"lower-case.*in aliases, at 'A B', in line 3"),
        (("slots = 2", "silence_seconds = inf"), r"86400.*at silence_seconds in line 9"),
        (('fast = ["echo"]', 'fast = ["ecco"]'), r"Did you mean 'echo'.*line 3"),
        (('fast = ["echo"]', 'fast = ["fast"]'), r"in a circle.*line 3"),
        (('name = "smollm2"', 'name = "echo"'), r"stands twice.*line 19"),
    ],
)
def test_a_faulty_catalogue_is_told_where_and_what_to_do(
    mistake: tuple[str, str], told: str
) -> None:
    assert mistake[0] in TOML
    with pytest.raises(BadInput, match=told):
        parse_catalogue(TOML.replace(*mistake))


def test_what_is_no_toml_is_malformed() -> None:
    with pytest.raises(Malformed, match="not valid TOML"):
        parse_catalogue("= =")


def refuses(*refused: str) -> Callable[[ModelSpec], None]:
    """A check that some models do not pass."""

    def check(spec: ModelSpec) -> None:
        if spec.name in refused:
            raise BadInput(f"not {spec.name}")

    return check


def test_a_chain_is_the_first_well_model_that_takes_the_query(catalogue: Catalogue) -> None:
    assert resolve(catalogue, "best", everything, refuses("big")).name == "smollm2"
    assert resolve(catalogue, "best", {"echo"}.__contains__, refuses("big")).name == "echo"
    assert resolve(catalogue, "best", nothing, refuses("big")).name == "smollm2"
    fit = candidates(catalogue, "best", refuses("smollm2"))
    assert [spec.name for spec in fit] == ["big", "echo"]


def test_what_no_model_of_a_chain_takes_is_refused_by_the_first(catalogue: Catalogue) -> None:
    with pytest.raises(BadInput, match="not big"):
        resolve(catalogue, "best", everything, refuses("big", "smollm2", "echo"))
    with pytest.raises(BadInput, match="not echo"):
        resolve(catalogue, "echo", everything, refuses("echo"))


def test_a_modality_has_a_name_to_ask_for() -> None:
    sees = make_spec("llava", modality=Modality.VISION)
    assert name_for(build_catalogue([sees]), Modality.VISION) == "llava"
    assert name_for(build_catalogue([sees], {"vision": ["llava"]}), Modality.VISION) == "vision"
    assert name_for(build_catalogue([sees], {"vision": []}), Modality.VISION) == "llava"
    assert name_for(build_catalogue([sees]), Modality.SPEECH) == ""


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.GUEST, False), (Role.USER, False), (Role.CONTRIBUTOR, True), (Role.SYSOP, True)],
)
def test_a_model_may_be_for_some_roles_only(role: Role, may: bool) -> None:
    spec = make_spec("big", roles=(Role.CONTRIBUTOR,))
    scopes = frozenset({SCOPE_SYSOP}) if role is Role.SYSOP else frozenset({SCOPE_QUERY})
    check_role(make_spec("small"), User("ann", role))
    if may:
        check_role(spec, User("ann", role, scopes))
    else:
        with pytest.raises(Forbidden, match=f"big is for contributor here, and you are {role}"):
            check_role(spec, User("ann", role, scopes))
