"""Settings that hold for all tests."""

from hypothesis import settings

# Two cores may be shared: how long one example takes says nothing.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
