"""Jupyter's own test suite for kernels."""

import jupyter_kernel_test
import pytest

pytestmark = pytest.mark.slow


class TestMtorKernel(jupyter_kernel_test.KernelTests):
    kernel_name = "mtor"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    code_page_something = "print?"
    code_generate_error = "raise ValueError('told to')"
    code_execute_result = ({"code": "1+2", "result": "3"},)
    code_display_data = (
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))",
            "mime": "text/html",
        },
    )
    completion_samples = (
        {"text": "zi", "matches": {"zip"}},
        {"text": "%mto", "matches": {"%mtor", "%%mtor"}},
    )
    complete_code_samples = ("1", "print('x')", "def f():\n  x\n\n\n", "Computer, (what is it?\n\n")
    incomplete_code_samples = ("print('''x", "def f():\n  x")
    invalid_code_samples = ("import = 7q",)
    code_inspect_sample = "zip"
    supported_history_operations = ("tail", "search")
    code_history_pattern = "1?2*"
