"""What stops the stack for a reason that the person at the keyboard can mend."""


class StackError(Exception):
    """A part cannot start or go on; the text is one line that says what to do."""
