"""A conversation as a document: Markdown for people, JSON for programs. Pure."""

from __future__ import annotations

import time

import msgspec

from mtor_kernel.client.rowlist import asked_in, in_words
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.query import Audio, Image, Message, Text
from mtor_kernel.protocol.views import ConversationInfo, QueryInfo


def as_json(conversation: ConversationInfo) -> str:
    """Return it with every query as the realm has it."""
    return msgspec.json.format(msgspec.json.encode(conversation), indent=2).decode() + "\n"


def as_markdown(conversation: ConversationInfo) -> str:
    """Return its questions and answers under headings, with who answered and what it cost."""
    pieces = [f"# {conversation.name}"]
    system = system_of(conversation)
    if system:
        pieces.append("\n".join(f"> {line}".rstrip() for line in system.splitlines()))
    for number, one in enumerate(conversation.queries, 1):
        question, answer = turn_of(one)
        asked = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created_at))
        cost = show_credits(one.charge.amount_micro if one.charge else 0)
        pieces += [f"## {number}. Asked on {asked}", _text(question)]
        pieces += [f"**{one.model}** ({cost} credits):", _text(answer)]
    return "\n\n".join(pieces) + "\n"


def turn_of(query: QueryInfo) -> tuple[Message, Message]:
    """Return the question and the answer of one turn; rows of a table as lists in words."""
    question = query.query.messages[-1] if query.query else Message("user", (Text(query.prompt),))
    if query.query and query.query.rows:
        question = Message("user", (Text(asked_in(query.query)),))
    parts = in_words(query.answer.parts) if query.answer else ()
    return question, Message("assistant", parts or (Text(""),))


def system_of(conversation: ConversationInfo) -> str:
    """Return what the model was told before the latest question."""
    if not conversation.queries or conversation.queries[-1].query is None:
        return ""
    first = conversation.queries[-1].query.messages[0]
    return first.text if first.role == "system" else ""


def _text(message: Message) -> str:
    told = []
    for part in message.parts:
        match part:
            case Text(text):
                told.append(text.strip())
            case Image(blob, mime) | Audio(blob, mime):
                told.append(f"*({mime}, {blob[:12]}…)*")
    return "\n\n".join(filter(None, told)) or "*(no words)*"
