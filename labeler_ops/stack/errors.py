"""What stops the stack for a reason that the person at the keyboard can mend."""

from labeler_ops.errors import Refused


class StackError(Refused):
    """A part cannot start or go on; the text is one line that says what to do."""
