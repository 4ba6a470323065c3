"""What stops work on a database for a reason that the person at the keyboard can mend."""

from labeler_ops.errors import Refused


class DatabaseRefused(Refused):
    """Nothing was done, or only whole steps; the text says what is wrong and what to do."""
