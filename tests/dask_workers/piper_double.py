"""A stand-in for the program `piper`: its command line, its input and its output, and no voice."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser("piper")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--output-raw", "--output_raw", action="store_true", required=True)
    parser.add_argument("--length-scale", "--length_scale", type=float, default=1.0)
    parser.add_argument("-s", "--speaker", type=int, default=0)
    given = parser.parse_args()
    about = json.loads(Path(given.model + ".json").read_text())
    assert Path(given.model).is_file()
    for line in sys.stdin:
        if "forever" in line:
            Path(given.model).with_name("pid").write_text(str(os.getpid()))
            signal.pause()
        assert "crash" not in line, "a secret path"
        samples = int(about["audio"]["sample_rate"] * 0.05 * len(line.strip()) * given.length_scale)
        sample = (given.speaker + 1).to_bytes(2, "little")
        sys.stdout.buffer.write(sample * samples)


if __name__ == "__main__":
    main()
