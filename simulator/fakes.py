"""Makes `support`, the fakes of the firmware's own tests, importable by the name that MicroPython has for it.

Import this before `support`. The flash model must run on both interpreters, so it lies with the firmware's tests; the
rig and the benches use the same one.
"""

import sys
from pathlib import Path

_HOME = str(Path(__file__).parents[1] / "firmware" / "tests")

if _HOME not in sys.path:
    sys.path.append(_HOME)
