"""What both services say of their settings."""


class SettingsError(Exception):
    """A variable is missing or wrong; the text names it and the form expected."""
