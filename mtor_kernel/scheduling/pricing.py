"""What a query may cost, what it did cost, and how much service that is.

**Price.** With every figure of a :class:`Usage` multiplied by its rate (micro-credits, integers)::

    price =  query
          +  input_tokens · input_token  +  output_tokens · output_token
          +  images · image              +  characters · character
          +  ⌈ pixel_steps · megapixel_step / 1 000 000 ⌉
          +  ⌈ audio_ms · audio_second / 1000 ⌉  +  ⌈ compute_ms · compute_second / 1000 ⌉

at least 1 where the card is not free. Of a query with rows, `query` is taken for each that is
answered. It grows with every figure, so a usage within the worst case
never costs more than the hold, which is the price of the worst case.

**Worst case.** Input tokens: no tokenizer makes more tokens of a text than it has bytes; each
message and each picture adds some. Output tokens: the limit that the query or the model sets.
Neither is more than the model's context; of a query with rows each is the sum of theirs. Pictures:
what the query asks, and where it leaves that open and the model's entry has no default, the most
that the entry allows. A recording: the longest that the model hears. Compute: all the time that the
query has.
"""

from __future__ import annotations

from mtor_kernel.protocol.account import Charge, RateCard, Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BadInput, TooLarge, UnknownOption
from mtor_kernel.protocol.query import Image, Modality, Query

#: Tokens that a chat template adds to a message, and to a conversation.
MESSAGE_TOKENS = 16
#: Tokens that a vision model makes of one picture at most.
IMAGE_TOKENS = 4096
#: No prompt that makes sense has more bytes a token than this; only whole runs of blanks do.
MAX_BYTES_PER_TOKEN = 32
#: Time to speak one character slowly, in milliseconds.
SPOKEN_CHARACTER_MS = 400
#: The greatest price: more would not survive JavaScript (see :data:`~.account.Count`).
MAX_PRICE_MICRO = 2**53 - 1

#: The figures of a usage that each modality has; beside them, every one takes time on a worker.
FIGURES: dict[Modality, tuple[str, ...]] = {
    Modality.CHAT: ("input_tokens", "output_tokens"),
    Modality.VISION: ("input_tokens", "output_tokens"),
    Modality.IMAGE: ("images", "pixel_steps"),
    Modality.TRANSCRIPTION: ("audio_ms",),
    Modality.SPEECH: ("characters", "audio_ms"),
    Modality.EMBEDDING: ("input_tokens",),
    Modality.API: (),
}
#: The rate of each figure.
_RATE_OF = {
    "input_tokens": "input_token_micro",
    "output_tokens": "output_token_micro",
    "images": "image_micro",
    "pixel_steps": "megapixel_step_micro",
    "audio_ms": "audio_second_micro",
    "characters": "character_micro",
}


def rates_of(modality: Modality) -> tuple[str, ...]:
    """Return the rates of a card that a query of this modality can be charged by."""
    figures = (_RATE_OF[figure] for figure in FIGURES[modality])
    return ("query_micro", *figures, "compute_second_micro")


def check_rates(spec: ModelSpec) -> None:
    """Raise :class:`BadInput` where a card that is not free prices nothing that the model uses."""
    useful = rates_of(spec.modality)
    if not spec.rates.free and not any(getattr(spec.rates, rate) for rate in useful):
        raise BadInput(
            f"the rate card of {spec.name} prices nothing that {spec.modality} uses, so every "
            f"query would cost next to nothing: price one of {', '.join(useful)}, or say "
            "free = true"
        )


def check_defaults(spec: ModelSpec) -> None:
    """Raise :class:`BadInput` where a query that says nothing would ask for too much."""
    if spec.modality is Modality.IMAGE:
        try:
            _pixel_steps(Query.ask("anything"), spec)
        except UnknownOption as error:
            raise BadInput(f"its defaults are beyond its bounds: {error.message}") from None


def output_limit(query: Query, spec: ModelSpec) -> int:
    """Return how many tokens the answer may have: the query's own limit, or the model's default.

    Raises
    ------
    UnknownOption
        The query asks for more than the model gives.
    """
    asked = query.options.max_tokens
    if asked is not None and asked > spec.max_output_tokens:
        raise UnknownOption(
            f"max_tokens is {asked:,}, but {spec.name} gives at most {spec.max_output_tokens:,}: "
            "ask for fewer.",
            limit=spec.max_output_tokens,
            used=asked,
        )
    limit = asked or spec.defaults.max_tokens or spec.default_max_tokens
    return min(limit, spec.max_output_tokens, spec.context_tokens or limit)


def worst_case(query: Query, spec: ModelSpec) -> Usage:
    """Return the most that one attempt at `query` can use, figure by figure.

    Raises
    ------
    UnknownOption
        ``max_tokens``, the picture's size or its ``steps`` are more than the model gives.
    TooLarge
        The prompt cannot fit into the model's context, however it is cut into tokens, or it has
        more characters than the model speaks.
    """
    most = {
        "input_tokens": _input_tokens,
        "output_tokens": _output_tokens,
        "images": _one,
        "pixel_steps": _pixel_steps,
        "audio_ms": _audio_ms,
        "characters": _characters,
    }
    figures = {figure: most[figure](query, spec) for figure in FIGURES[spec.modality]}
    compute = query.ttl_seconds * 1000
    return Usage(**figures, compute_ms=compute, rows=len(query.rows) or 1, estimated=True)


def price(usage: Usage, rates: RateCard, *, answered: bool = True) -> int:
    """Return the price of `usage` in micro-credits; every division is rounded up.

    Without an answer (a cancelled query, or no row that has one) the price of the query itself is
    not taken, and nothing used costs nothing. Otherwise it is at least 1, unless the card is free.
    """
    if rates.free:
        return 0
    total = (
        usage.input_tokens * rates.input_token_micro
        + usage.output_tokens * rates.output_token_micro
        + usage.images * rates.image_micro
        + usage.characters * rates.character_micro
        + -(-usage.pixel_steps * rates.megapixel_step_micro // 1_000_000)
        + -(-usage.audio_ms * rates.audio_second_micro // 1000)
        + -(-usage.compute_ms * rates.compute_second_micro // 1000)
    )
    if answered and usage.rows:
        total = max(1, total + usage.rows * rates.query_micro)
    return min(total, MAX_PRICE_MICRO)


def hold_for(query: Query, spec: ModelSpec) -> int:
    """Return the micro-credits to set aside for `query`; raises as :func:`worst_case` does."""
    return price(worst_case(query, spec), spec.rates)


def charge_for(usage: Usage, rates: RateCard, hold: int, *, answered: bool = True) -> Charge:
    """Return what `usage` costs, never more than was held: what is above is the house's loss."""
    return Charge(min(price(usage, rates, answered=answered), hold), usage)


def tokens_of(usage: Usage) -> int:
    """Return the tokens that count against a quota of tokens."""
    return usage.input_tokens + usage.output_tokens


def service(usage: Usage) -> float:
    """Return how much of a lane `usage` took, for the fair queue; at least 1.

    The unit is the work of one input token. An output token counts for two, as in VTC. The other
    figures are brought to a like size; within a lane only one kind of them occurs, so that their
    proportion to tokens decides nothing.
    """
    work = (
        usage.input_tokens
        + 2 * usage.output_tokens
        + usage.pixel_steps / 10_000
        + usage.audio_ms / 20
        + usage.characters / 4
    )
    return max(1.0, float(work or usage.compute_ms))


def cost_estimate(most: Usage, learned_tokens: float) -> float:
    """Return the :func:`service` that a query will probably take.

    Parameters
    ----------
    most
        Its :func:`worst_case`.
    learned_tokens
        Output tokens that answers of this model have had of late
        (:attr:`~.estimate.Estimator.output_tokens`), of each row if there are several.
    """
    # Bytes are the bound of the input's tokens; four of them to a token is the usual figure.
    usual = Usage(
        input_tokens=-(-most.input_tokens // 4),
        output_tokens=min(most.output_tokens, max(1, round(learned_tokens * most.rows))),
        pixel_steps=most.pixel_steps,
        audio_ms=most.audio_ms,
        characters=most.characters,
    )
    return service(usual)


def _output_tokens(query: Query, spec: ModelSpec) -> int:
    return output_limit(query, spec) * (len(query.rows) or 1)


def _input_tokens(query: Query, spec: ModelSpec) -> int:
    prompts, context = _prompt_bytes(query), spec.context_tokens
    fewest = -(-max(prompts) // MAX_BYTES_PER_TOKEN)
    if context is not None and fewest >= context:
        raise TooLarge(
            f"The prompt has {max(prompts):,} bytes, which cannot fit into the "
            f"{context:,} tokens of {spec.name}: shorten it, or choose a model with more context.",
            limit=context,
            used=fewest,
        )
    images = sum(isinstance(part, Image) for turn in query.messages for part in turn.parts)
    beside = (len(query.messages) + 1) * MESSAGE_TOKENS + images * IMAGE_TOKENS
    if context is None:
        return sum(prompts) + beside * len(prompts)
    return sum(min(prompt + beside, context) for prompt in prompts)


def _prompt_bytes(query: Query) -> list[int]:
    """Return the length of the words of a query, or of each of its rows with what they share."""
    whole = query.prompt_bytes
    if not query.rows:
        return [whole]
    shared = whole - len(query.rows[0].text.encode())
    return [shared + len(row.text.encode()) for row in query.rows]


def _one(query: Query, spec: ModelSpec) -> int:
    return 1


def _characters(query: Query, spec: ModelSpec) -> int:
    count = sum(len(message.text) for message in query.messages)
    if count > spec.max_characters:
        raise TooLarge(
            f"The text has {count:,} characters, and {spec.name} speaks {spec.max_characters:,} at "
            "a time: cut it into pieces.",
            limit=spec.max_characters,
            used=count,
        )
    return count


def _pixel_steps(query: Query, spec: ModelSpec) -> int:
    given, usual = query.options, spec.defaults
    width, height = given.width or usual.width, given.height or usual.height
    steps = given.steps or usual.steps or spec.max_steps
    pixels = width * height if width and height else spec.max_pixels
    if width and height and pixels > spec.max_pixels:
        raise UnknownOption(
            f"{width} × {height} are {pixels:,} pixels, and {spec.name} draws {spec.max_pixels:,} "
            "at most: ask for a smaller picture.",
            limit=spec.max_pixels,
            used=pixels,
        )
    if steps > spec.max_steps:
        raise UnknownOption(
            f"steps is {steps}, and {spec.name} takes {spec.max_steps} at most: ask for fewer.",
            limit=spec.max_steps,
            used=steps,
        )
    return pixels * steps


def _audio_ms(query: Query, spec: ModelSpec) -> int:
    if spec.modality is Modality.TRANSCRIPTION:
        return spec.max_audio_seconds * 1000
    speed = query.options.speed or spec.defaults.speed or 1.0
    return round(_characters(query, spec) * SPOKEN_CHARACTER_MS / min(speed, 1.0))
