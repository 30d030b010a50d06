"""Write the corpus of broken and hostile data sets, one folder each: `python -m tests.hostile FOLDER`."""

import sys
from pathlib import Path

from tests.hostile.data_sets import CASES, sound

for name, case in CASES.items():
    case.spoil(sound(Path(sys.argv[1]) / name))
