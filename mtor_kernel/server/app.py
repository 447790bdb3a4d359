"""The Jupyter Server extension."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp
from traitlets import Integer

from mtor_kernel.server.ngram import NGramRelay
from mtor_kernel.server.relay import Relay
from mtor_kernel.server.seeker import Seeker


class MtorExtension(ExtensionApp):
    """Relays ``{base_url}mtor/…`` to the realm under Jupyter's own authentication.

    Nothing is enforced here: whoever owns this server can run any code in it. Nothing is started
    before the first request that needs a realm.
    """

    # The types of these are declared by jupyter_server, without annotations.
    name = "mtor"
    description = "Relay to the MTOR realm"

    max_body_bytes = Integer(
        64 * 1024 * 1024,
        min=0,
        config=True,
        help="The longest request body that is relayed, in bytes. Default: 67108864 (64 MiB)",
    )

    def initialize_settings(self) -> None:
        """Share one search for the realm among all requests."""
        self.settings["mtor_seeker"] = Seeker()
        self.settings["mtor_max_body_bytes"] = self.max_body_bytes

    def initialize_handlers(self) -> None:
        """Route everything below ``mtor/``; of the realm's addresses one is a WebSocket."""
        self.handlers.extend([(r"/mtor/ngram", NGramRelay), (r"/mtor/(.*)", Relay)])
