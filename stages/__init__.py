"""One script a stage of `dvc.yaml`.

While a stage imports its libraries nothing becomes garbage, and the collector's walks through what torch and timm bring
take a fifth of the time. `pipeline.runtime.console.run_stage` starts it again.
"""

import gc
import sys

if sys.argv[0] == "-m":  # Python looks for the script of `python -m stages.NAME`; nobody else imports this package
    gc.disable()
