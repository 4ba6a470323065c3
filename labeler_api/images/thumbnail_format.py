"""What a thumbnail is: its numbers, one place for whoever makes, sends or checks one (contract#images)."""

SIDE_PIXELS = 256  # the longest side
JPEG_QUALITY = 85
