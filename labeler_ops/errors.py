"""What stops a command for a reason that the person at the keyboard can mend."""


class OperatorError(Exception):
    """Nothing was done, or only whole steps; the text says what is wrong and what to do."""


class DatabaseError(OperatorError):
    """Work on a database stops."""


class StackError(OperatorError):
    """A part of the stack cannot start or go on; the text is one line that says what to do."""
