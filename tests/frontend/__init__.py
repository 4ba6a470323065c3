"""What the frontend relies on, which is not going to change: sixteen hard requirements, and what it was seen doing."""
