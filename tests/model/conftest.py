from __future__ import annotations

from hypothesis import settings

# Two cores are shared with whatever else runs: how long an example takes says nothing about the code.
settings.register_profile("shared-machine", deadline=None, max_examples=60)
settings.load_profile("shared-machine")
