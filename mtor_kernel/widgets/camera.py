"""The camera."""

from __future__ import annotations

import traitlets

from mtor_kernel.client.media import MAX_PICTURE_BYTES
from mtor_kernel.widgets.device import Device
from mtor_kernel.widgets.script import script
from mtor_kernel.widgets.taken import Taken


class Camera(Device):
    """The camera of whoever looks at the notebook, or a picture from a file.

    Examples
    --------
    >>> camera = Camera()  # doctest: +SKIP
    >>> frame = await camera.frame()  # doctest: +SKIP
    >>> realm.see(frame, "What is this?")  # doctest: +SKIP
    """

    _esm = script("common", "devices", "camera")
    kind = "image"
    names = ("camera", "picture")

    label = traitlets.Unicode("Camera").tag(sync=True)
    most_bytes = traitlets.Int(MAX_PICTURE_BYTES).tag(sync=True)

    async def frame(self, seconds: float | None = None) -> Taken:
        """Show the camera if it is not shown yet, wait until the person takes a picture, return it.

        Parameters
        ----------
        seconds
            How long to wait; by default as long as it takes.

        Raises
        ------
        Unavailable
            No browser shows it.
        TimeoutError
            Nobody took a picture in time.
        """
        return await self.taken(seconds)
