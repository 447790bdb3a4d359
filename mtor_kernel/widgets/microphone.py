"""The microphone."""

from __future__ import annotations

import traitlets

from mtor_kernel.client.media import MAX_SOUND_BYTES
from mtor_kernel.widgets.device import Device
from mtor_kernel.widgets.script import script
from mtor_kernel.widgets.taken import Taken

#: The longest recording, in seconds: what the built-in model of transcription takes.
MOST_SECONDS = 600


class Microphone(Device):
    """The microphone of whoever looks at the notebook, or a recording from a file.

    Examples
    --------
    >>> microphone = Microphone()  # doctest: +SKIP
    >>> said = await microphone.recording()  # doctest: +SKIP
    >>> realm.listen(said).text  # doctest: +SKIP
    """

    _esm = script("common", "devices", "sound", "microphone")
    kind = "audio"
    names = ("microphone", "recording")

    label = traitlets.Unicode("Microphone").tag(sync=True)
    most_bytes = traitlets.Int(MAX_SOUND_BYTES).tag(sync=True)
    #: After so many seconds a recording ends by itself.
    most_seconds = traitlets.Int(MOST_SECONDS).tag(sync=True)

    async def recording(self, seconds: float | None = None) -> Taken:
        """Show the microphone if it is not shown yet, wait for a recording, return it: a WAV.

        `seconds` and what is raised are those of :meth:`Camera.frame`.
        """
        return await self.taken(seconds)
