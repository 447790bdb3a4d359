"""Widgets: a question, the camera, the microphone, a drawing, the queue and what one spends.

They need the extra ``widgets``. Nothing that was seen, heard or said is ever in their state, which
a notebook may save: it travels in messages.
"""

try:
    import anywidget as _anywidget  # noqa: F401 - to say what to do where it is missing
except ImportError as error:
    raise ImportError(
        "The widgets need the package anywidget: install it with "
        "`pip install 'mtor-kernel[widgets]'` and restart the kernel."
    ) from error

from mtor_kernel.widgets.ask import Ask
from mtor_kernel.widgets.camera import Camera
from mtor_kernel.widgets.cost import Cost
from mtor_kernel.widgets.drawing import Drawing
from mtor_kernel.widgets.microphone import Microphone
from mtor_kernel.widgets.progress import MapProgress
from mtor_kernel.widgets.queue import Queue
from mtor_kernel.widgets.taken import Taken

__all__ = ["Ask", "Camera", "Cost", "Drawing", "MapProgress", "Microphone", "Queue", "Taken"]
