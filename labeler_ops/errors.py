"""What stops a command for a reason that the person at the keyboard can mend."""


class Refused(Exception):
    """Nothing was done, or only whole steps; the text says what is wrong and what to do."""
