"""``python -m mtor_kernel.cli`` is ``mtor``."""

import sys

from mtor_kernel.cli import main

sys.exit(main())
