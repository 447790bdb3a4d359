"""What is remembered: people, accounts, queries, answers, blobs and the audit trail.

Functions over a :class:`sqlalchemy.Connection`, one file a noun. A caller hands them to
:meth:`Store.write` or :meth:`Store.read`::

    accepted = await store.write(lambda conn: acceptance.accept(conn, new, quotas, decide))
"""

from mtor_kernel.storage.blobs import Blobs
from mtor_kernel.storage.store import Store

__all__ = ["Blobs", "Store"]
