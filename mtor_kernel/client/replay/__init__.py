"""Answers that are recorded beside a notebook, and given again without a realm.

There is one place where a question becomes an answer, :meth:`RealmClient.submit`, and there a
replay stands in between: it plays the answer that is recorded, or has the realm asked and writes
down what came. Which record is meant is decided by what is asked (``record.py``) and by which of
several equal questions this is (``turns.py``). The records stand in one file (``book.py``),
pictures and sounds in a folder beside it (``shelf.py``).
"""

from mtor_kernel.client.replay.book import Book
from mtor_kernel.client.replay.here import current, use
from mtor_kernel.client.replay.record import Cell, Record
from mtor_kernel.client.replay.replay import Mode, Replay
from mtor_kernel.client.replay.taking import played_or_taken

__all__ = ["Book", "Cell", "Mode", "Record", "Replay", "current", "played_or_taken", "use"]
