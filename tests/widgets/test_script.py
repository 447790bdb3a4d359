import re
import subprocess
from pathlib import Path

import pytest

from mtor_kernel import widgets
from mtor_kernel.widgets.widget import RealmWidget

WIDGETS = [getattr(widgets, name) for name in widgets.__all__ if name != "Taken"]


@pytest.mark.parametrize("kind", WIDGETS, ids=lambda kind: kind.__name__)
def test_a_widget_is_one_module_that_needs_nothing_else(
    kind: type[RealmWidget], tmp_path: Path
) -> None:
    module = tmp_path / "widget.mjs"
    module.write_text(kind._esm)
    subprocess.run(["node", "--check", module], check=True)
    assert len(re.findall(r"^export ", kind._esm, re.MULTILINE)) == 1
    assert not re.findall(r"^import |import\(|https?:", kind._esm, re.MULTILINE)


@pytest.mark.parametrize("kind", WIDGETS, ids=lambda kind: kind.__name__)
def test_no_script_makes_html_of_what_it_hears_but_of_what_the_kernel_made_safe(
    kind: type[RealmWidget],
) -> None:
    found = re.findall(r"\S+\.(?:innerHTML|outerHTML|insertAdjacentHTML)[^;]*", kind._esm)
    assert found in ([], ["answer.innerHTML = html"])
