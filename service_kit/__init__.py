"""What both services need and neither owns. Imports neither of them, and no feature."""
