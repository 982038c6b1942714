"""How long a step takes to see that its inputs are the same: every byte read, or size and times looked up.

1 GiB of files of 25 MiB, about what the time series of one subject on native surfaces are. "Read anew" is what
``verify=True`` does (the files lie in the system's memory by then, so a disk only makes it slower); "looked up" is a
new process that finds the digests on disk; "remembered" is the same process again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE, COUNT = 25 << 20, 41
CODE = """
import sys, time
from pathlib import Path
from subjects.provenance import digest_file
paths = sorted(Path(sys.argv[1]).glob('*.gii'))
for verify in [word == 'verify' for word in sys.argv[2:]]:
    start = time.perf_counter()
    found = [digest_file(path, verify=verify) for path in paths]
    print(time.perf_counter() - start)
"""


def _seconds(folder: Path, *words: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", CODE, str(folder), *words], check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    """Time the three ways and print their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADVERSARIAL_FMRI_HOME"] = str(Path(folder) / "home")
        block, old = os.urandom(SIZE), time.time() - 60
        for k in range(COUNT):
            path = Path(folder) / f"{k:02d}.gii"
            path.write_bytes(k.to_bytes(2, "big") + block[2:])
            os.utime(path, (old, old))
        time.sleep(2.1)  # a file that changed a moment ago is not kept
        cold = _seconds(Path(folder), "verify")[0]
        warm, again = _seconds(Path(folder), "known", "known")
    print(f"{COUNT} files, {COUNT * SIZE / 2**30:.2f} GiB: read anew {cold:.2f} s; looked up {1e3 * warm:.1f} ms, "
          f"{cold / warm:.0f} times faster; remembered {1e3 * again:.1f} ms, {cold / again:.0f} times faster")


if __name__ == "__main__":
    main()
