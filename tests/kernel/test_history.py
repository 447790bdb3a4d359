"""One's history and spending in a notebook."""

import pytest

from tests.kernel.driving import Kernel

#: Each starts kernels; `test_kernel.py` and `test_extension.py` are for a quick run.
pytestmark = pytest.mark.slow


def test_the_history_is_searched_by_words_model_status_and_day(mtor: Kernel) -> None:
    mtor.run("%mtor ask what do walruses eat")
    mtor.run("%mtor ask -m broken what do walruses drink")
    both = mtor.run("%mtor history walruses").plain
    assert "walruses eat" in both
    assert "walruses drink" in both
    failed = mtor.run("%mtor history --status failed walruses").plain
    assert "walruses eat" not in failed
    assert "walruses drink" in failed
    assert "drink" not in mtor.run("%mtor history -m echo walruses").plain
    assert "walruses eat" in mtor.run("%mtor history --since today --until today walruses").plain
    assert "nothing was asked" in mtor.run("%mtor history --until 2020-01-01 walruses").plain
    assert "no day or time" in mtor.run("%mtor history --since soon").reply["evalue"]


def test_history_and_usage_are_tables_and_a_picture(mtor: Kernel) -> None:
    mtor.run("%mtor ask what do narwhals eat")
    assert mtor.run("frame = realm.history('narwhals', status='settled')").status == "ok"
    assert mtor.value("list(frame['question'])") == "['what do narwhals eat']"
    assert mtor.value("len(realm.history(limit=2))") == "2"
    shown = mtor.run("spent = realm.usage(days=3)\nspent").contents("execute_result")[0]["data"]
    assert shown["image/png"].startswith("iVBOR")
    assert shown["text/plain"].startswith("<Spending: ")
    assert mtor.value("'echo' in set(spent.frame['model'])") == "True"
