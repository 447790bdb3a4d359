"""``%mtor`` and ``%%mtor``."""

from __future__ import annotations

import os
import re
import sys
import time
from asyncio import CancelledError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import display

from mtor_kernel.client import Realm, Reply
from mtor_kernel.client.replay import use
from mtor_kernel.magics import reports, subject
from mtor_kernel.magics.aid import Aid, aid_said
from mtor_kernel.magics.aiding import Aider
from mtor_kernel.magics.arguments import HELP, Ask, Look, parse
from mtor_kernel.magics.asking import NOT_ASKED, ask, prepare
from mtor_kernel.magics.bundle import reply_bundle
from mtor_kernel.magics.context import context_line
from mtor_kernel.magics.conversations import Conversations
from mtor_kernel.magics.devices import Take, await_devices, device_of
from mtor_kernel.magics.display import CellDisplay, Display, FinalDisplay, TerminalDisplay
from mtor_kernel.magics.failure import explained
from mtor_kernel.magics.fault import Faults
from mtor_kernel.magics.filling import fill
from mtor_kernel.magics.make import Make
from mtor_kernel.magics.making import Maker
from mtor_kernel.magics.orders import carry_out, order_of
from mtor_kernel.magics.past import parse_past
from mtor_kernel.magics.questions import keep_questions
from mtor_kernel.magics.replaying import Replaying
from mtor_kernel.magics.table import Table
from mtor_kernel.magics.threads import Threads
from mtor_kernel.protocol.errors import NotFound, RealmError
from mtor_kernel.protocol.query import Message, Query, Text, make_options
from mtor_kernel.telling.figures import show_count

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: The variable through which a notebook reaches the realm.
REALM = "realm"
#: What is asked where no model is named, and what where the question brings a picture.
CHAT, VISION = "chat", "vision"
#: Tokens kept free for the answer in a conversation that sets no ``--max-tokens``.
ANSWER_TOKENS = 512
#: Queries that ``cancel`` looks through.
SEARCHED = 100
#: Days of use that ``%mtor me`` shows.
SHOWN_DAYS = 1


@magics_class
class MtorMagics(Magics):
    """The realm from a cell. One object a kernel; it keeps the kernel's conversations."""

    def __init__(self, shell: InteractiveShell, take: Take | None = None) -> None:
        super().__init__(shell)
        self._ip = shell
        self._take = take
        self._own = Realm()
        self._conversations = Conversations()
        self.replaying = Replaying(shell.user_ns, lambda: self.realm.models())
        self.faults = Faults()

    @property
    def realm(self) -> Realm:
        """The notebook's ``realm``, where that is one, else our own."""
        found = self._variables.get(REALM)
        return found if isinstance(found, Realm) else self._own

    @no_var_expand
    @line_cell_magic
    def mtor(self, line: str, cell: str | None = None) -> None:
        """Ask the realm, or look at it; ``%mtor help`` shows how."""
        self._carry_out(parse(line, cell))

    def _carry_out(self, command: Ask | Make | Aid | Look) -> None:
        try:
            if isinstance(command, Ask):
                self._ask(command)
            elif isinstance(command, Make):
                self._make(command)
            elif isinstance(command, Aid):
                self._aid(command)
            else:
                self._look(command)
        except RealmError as error:
            raise explained(error) from None

    @no_var_expand
    @line_cell_magic
    async def amtor(self, line: str, cell: str | None = None) -> None:
        """What ``%mtor see camera`` becomes: wait for what the device takes, then do it."""
        command = parse(line, cell)
        device = device_of(command)
        if not isinstance(command, Make) or not device or self._take is None:
            self._carry_out(command)
            return
        try:
            maker = self._maker(command)
            maker.check_model(command)
            self._made(command, maker.make(command, await self._take(device)))
        except CancelledError as error:
            raise explained(error, NOT_ASKED) from None
        except RealmError as error:
            raise explained(error) from None

    def offer(self) -> None:
        """Put ``realm`` into the notebook's namespace unless the name is taken."""
        if REALM not in self._variables:
            self._ip.push({REALM: self._own}, interactive=False)

    def after_cell(self, _: object) -> None:
        """Offer ``realm`` again after ``%reset``; made for IPython's ``post_run_cell``.

        ``%reset`` forgets what is hidden too. Who deleted or replaced the name has it as they want.
        """
        if REALM not in self._ip.user_ns_hidden:
            self.offer()

    def close(self) -> None:
        """Take ``realm`` back and hang up."""
        use(None)
        if self._variables.get(REALM) is self._own:
            self._ip.drop_by_id({REALM: self._own})
        self._own.close()

    @property
    def _variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = self._ip.user_ns
        return variables

    # Asking.

    def _ask(self, asked: Ask) -> None:
        if asked.command == "computer" and (wanted := self._said(asked)) is not None:
            self._aid(wanted)
            return
        pictures: list[Any] = []
        prompt = fill(asked.prompt, self._variables, None if asked.command == "chat" else pictures)
        system = fill(asked.system, self._variables)
        if pictures:
            query = self._query_with(pictures, asked, prompt, system)
        else:
            messages = self._messages(asked, prompt, system)
            query = Query(messages, asked.model, make_options(asked.options))
        reply = ask(self.realm, query, self._display(asked.stream))
        if asked.command == "chat":
            self._answered(asked.conversation, prompt, reply)
        if asked.bind:
            self._ip.push({asked.bind: reply})

    def _answered(self, name: str, prompt: str, reply: Reply) -> None:
        """Keep a turn, here and at the realm."""
        self._conversations.answered(name, prompt, reply.text, reply.query)
        if reply.replayed:
            return  # no realm is asked for what is played; the next turn that is brings it along
        thread, queries = self._conversations.to_keep(name)
        for query in queries:
            # A played answer may be another realm's, an older realm keeps none, and all is here.
            with suppress(RealmError):
                self.realm.keep_turn(thread, name[:100], query)

    def _query_with(self, pictures: list[Any], asked: Ask, prompt: str, system: str) -> Query:
        """Return the query for a prompt that names pictures, of a model that sees."""
        model = VISION if asked.model == CHAT else asked.model
        return prepare(self.realm, prompt, model, pictures, "image", system=system, **asked.options)

    def _make(self, asked: Make) -> None:
        self._made(asked, self._maker(asked).make(asked))

    def _maker(self, asked: Make) -> Maker:
        return Maker(self.realm, self._variables, partial(self._display, asked.stream))

    def _made(self, asked: Make, made: Any) -> None:
        if asked.bind:
            self._ip.push({asked.bind: made})

    def _aid(self, wanted: Aid) -> None:
        display = partial(self._display, wanted.stream)
        reply = Aider(self.realm, self._ip, self.faults, display).aid(wanted)
        if wanted.bind:
            self._ip.push({wanted.bind: reply})

    def _said(self, asked: Ask) -> Aid | None:
        """Return the help with code that a question in plain language means, if it means one."""
        found = None if asked.system else aid_said(asked.prompt)
        if found is None:
            return None
        command, words = found
        if command in ("explain", "fix") and self.faults.last is None:
            return None
        if command == "doc" and not self._is_code(words):
            return None
        return Aid(command, words, asked.model, asked.options, bind=asked.bind, stream=asked.stream)

    def _is_code(self, name: str) -> bool:
        try:
            return subject.is_code(subject.found(name, self._variables))
        except UsageError:
            return False

    def _messages(self, asked: Ask, prompt: str, system: str) -> tuple[Message, ...]:
        if asked.command == "chat":
            room = self._room(asked)
            return self._conversations.ask(asked.conversation, prompt, system, room)
        if asked.command == "computer":
            prompt = self._with_context(asked.prompt, prompt)
        told = (Message("system", (Text(system),)),) if system else ()
        return (*told, Message("user", (Text(prompt),)))

    def _room(self, asked: Ask) -> int | None:
        """Return the tokens that a conversation may take of its model, if it is bound by any."""
        models = {model.name: model for model in self.realm.models()}
        names = [asked.model]
        if asked.model in models:
            names += models[asked.model].stands_for
        bounds = [models[name].context_tokens for name in names if name in models]
        bound = next(filter(None, bounds), None)
        return bound and bound - asked.options.get("max_tokens", ANSWER_TOKENS)

    def _with_context(self, question: str, filled: str) -> str:
        """Return the filled question, and one line on the variables that the question mentions."""
        line = context_line(question, self._variables, self._ip.user_ns_hidden)
        return f"{filled}\n\n({line})" if line else filled

    def _display(self, stream: bool) -> Display:
        if not stream or os.environ.get("MTOR_STREAM") == "0":
            return FinalDisplay()
        if getattr(self._ip, "kernel", None) is None:
            return TerminalDisplay(sys.stdout)
        return CellDisplay()

    # Looking.

    def _look(self, command: Look) -> None:
        now = time.time()
        match command.command:
            case "models":
                display(reports.models_table(self.realm.models()))
            case "workers":
                display(reports.workers_table(self.realm.workers()))
            case "queue":
                display(reports.lanes_table(self.realm.queue()))
                display(reports.waiting_table(self.realm.queries(limit=SEARCHED), now))
            case "me":
                display(reports.me_table(self.realm.me(), self.realm.usage(SHOWN_DAYS), now))
            case "history":
                found = self.realm.queries(**parse_past(command.rest))
                display(reports.history_table(found, now))
            case "cancel":
                self._cancel(command.rest)
            case "forget":
                # As one names it in the conversation, too.
                self._forget(re.sub(r"^-c\s+", "", command.rest) or "main")
            case "sysop":
                self._order(command.rest)
            case "conversations":
                told = Threads(self.realm, self._conversations).command(command.rest)
                display(told) if isinstance(told, Table) else print(told)  # noqa: T201 - said to a person
            case "replay":
                told = self.replaying.command(command.rest)
                display(told) if isinstance(told, Table) else print(told)  # noqa: T201 - said to a person
            case _:
                print(HELP)  # noqa: T201 - what a person asked to read

    def _cancel(self, beginning: str) -> None:
        found = [
            query.id
            for query in self.realm.queries(limit=SEARCHED)
            if query.id.startswith(beginning)
        ]
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} of your queries begin with {beginning}: write more of it."
            )
        if not found:
            raise NotFound(f"No query of yours begins with {beginning}: %mtor queue shows them.")
        self.realm.cancel(found[0])
        after = self.realm.info(found[0])
        display(reports.history_table([after], time.time()))

    def _order(self, words: str) -> None:
        answer = carry_out(self.realm, order_of(words), time.time())
        if isinstance(answer, str):
            print(answer)  # noqa: T201 - said to a person
        else:
            display(answer)

    def _forget(self, name: str) -> None:
        try:
            turns = self._conversations.forget(name)
        except KeyError:
            known = ", ".join(self._conversations.names()) or "none yet"
            raise UsageError(f"There is no conversation {name!r}; there are: {known}.") from None
        print(f"Forgot the conversation {name} ({show_count(turns, 'turn')}).")  # noqa: T201 - said to a person


def load(ip: InteractiveShell, take: Take | None = None) -> None:
    """Bring ``%mtor``, ``%%mtor`` and ``realm`` into a shell, and show replies safely.

    `take` waits for what a device takes, where there are any.
    """
    magics = MtorMagics(ip, take)
    ip.register_magics(magics)
    ip.input_transformers_cleanup.append(keep_questions)
    if take is not None:
        ip.input_transformers_post.append(await_devices)
    if ip.display_formatter is not None:
        ip.display_formatter.mimebundle_formatter.for_type(Reply, reply_bundle)
    use(magics.replaying.replay)
    ip.events.register("pre_run_cell", magics.replaying.before_cell)
    ip.events.register("post_run_cell", magics.faults.after_cell)
    ip.events.register("post_run_cell", magics.after_cell)
    magics.offer()


def unload(ip: InteractiveShell) -> None:
    """Take them out again."""
    if keep_questions in ip.input_transformers_cleanup:
        ip.input_transformers_cleanup.remove(keep_questions)
    if await_devices in ip.input_transformers_post:
        ip.input_transformers_post.remove(await_devices)
    magics = ip.magics_manager.registry.pop(MtorMagics.__name__, None)
    for kind in ("line", "cell"):
        ip.magics_manager.magics[kind].pop("mtor", None)
        ip.magics_manager.magics[kind].pop("amtor", None)
    if ip.display_formatter is not None:
        ip.display_formatter.mimebundle_formatter.pop(Reply, None)
    if isinstance(magics, MtorMagics):
        ip.events.unregister("pre_run_cell", magics.replaying.before_cell)
        ip.events.unregister("post_run_cell", magics.faults.after_cell)
        ip.events.unregister("post_run_cell", magics.after_cell)
        magics.close()
