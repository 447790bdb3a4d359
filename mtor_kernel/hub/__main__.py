"""``python -m mtor_kernel.hub``: what the Hub starts as its service."""

import argparse
from pathlib import Path

from mtor_kernel.hub.service import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m mtor_kernel.hub")
    parser.add_argument("--config", type=Path, help="a traitlets configuration file of the realm")
    raise SystemExit(serve(parser.parse_args().config))
