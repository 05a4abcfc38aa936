"""How property tests look for counterexamples.

`make test` tries the same 200 inputs a property each time, so that a change is judged and not the dice; new ones are
looked for with HYPOTHESIS_PROFILE=soak, 5000 a property. No deadline: a loaded machine is slow, not wrong.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick", max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
