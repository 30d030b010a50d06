"""One script a stage of `dvc.yaml`.

While a stage imports its libraries nothing becomes garbage, and the collector's walks through what torch and timm bring
take a fifth of the time. `pipeline.console.run_stage` starts it again. Workers of a stage import this too, and keep it.
"""

import gc
from multiprocessing import parent_process

if parent_process() is None:
    gc.disable()
