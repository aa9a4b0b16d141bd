"""What holds for every test."""

from hypothesis import settings

# No deadline per example: a loaded machine would fail tests that are right, and nothing here is
# about time. No database: a failure found once is written down as a test of its own.
settings.register_profile("tailrace", deadline=None, database=None)
settings.load_profile("tailrace")
