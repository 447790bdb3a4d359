"""What a Jupyter server tells a kernel of its notebook is enough to find its recorded answers."""

from pathlib import Path

from mtor_kernel.client.replay.place import known_file


def test_a_session_names_its_notebook(jp_serverapp, jp_root_dir: Path) -> None:
    folder = jp_root_dir / "week one"
    folder.mkdir()
    (folder / "my demo.ipynb").touch()
    # JupyterLab calls a session by the notebook's own name, and gives its path beside that.
    environment = jp_serverapp.session_manager.get_kernel_env(
        "week one/my demo.ipynb", "my demo.ipynb"
    )
    found = known_file({"__session__": environment["JPY_SESSION_NAME"]})
    assert found == folder / "my demo.mtor.jsonl"
