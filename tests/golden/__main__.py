"""Write the golden values again: `python -m tests.golden`."""

import tempfile
from pathlib import Path

from tests.golden.values import computed, write

with tempfile.TemporaryDirectory() as folder:
    write(computed(Path(folder)))
