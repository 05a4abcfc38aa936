"""How many random inputs: 200 a property for make test, 5000 with HYPOTHESIS_PROFILE=soak."""

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=200, deadline=None)
settings.register_profile("soak", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
