"""What all widgets do, at a browser's double."""

import threading
from typing import Any

from mtor_kernel.widgets.widget import RealmWidget
from tests.widgets.browser_double import Browser


class Teller(RealmWidget):
    """Tells what it is to tell."""

    _esm = "export default {}"

    def tell(self, words: str) -> None:
        self._tell("words", words=words)


class HeldBrowser(Browser):
    """Holds the next message up, on its way to the page, until a thread has had its chance."""

    beside: threading.Thread | None = None

    def publish_msg(self, *args: Any, **how: Any) -> None:
        beside, self.beside = self.beside, None
        if beside is not None:
            beside.start()
            beside.join(0.5)  # it would post at once if nothing held it back
        super().publish_msg(*args, **how)


def test_no_older_message_is_posted_after_a_newer_one() -> None:
    teller = Teller()
    browser = HeldBrowser(teller)
    teller.tell("half")
    newer = threading.Thread(target=teller.tell, args=("whole",))
    browser.beside = newer
    browser.say(kind="shown", view="second")
    newer.join(60)
    words = [one["words"] for one, _ in browser.said if one["kind"] == "words"]
    assert words == ["half", "half", "whole"]
