"""Numbers of things in sentences: "1 image is", "3 images are"."""


def counted(number: int, one: str, many: str) -> str:
    """Put a number before the words for one thing, or for more than one."""
    return f"{number} {one if number == 1 else many}"
