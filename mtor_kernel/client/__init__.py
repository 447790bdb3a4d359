"""Talk to a realm: :class:`RealmClient` in asynchronous code, :class:`Realm` anywhere else.

Importing this loads no network library; the first call does.
"""

from mtor_kernel.client.aio import Quote, RealmClient
from mtor_kernel.client.media import Media, as_media
from mtor_kernel.client.question import question
from mtor_kernel.client.received import Picture, Sound
from mtor_kernel.client.reply import Reply
from mtor_kernel.client.running import Running
from mtor_kernel.client.sync import Realm, RunningQuery, connect
from mtor_kernel.locate import Address

__all__ = [
    "Address",
    "Media",
    "Picture",
    "Quote",
    "Realm",
    "RealmClient",
    "Reply",
    "Running",
    "RunningQuery",
    "Sound",
    "as_media",
    "connect",
    "question",
]
