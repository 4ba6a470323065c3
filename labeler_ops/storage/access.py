"""Where an S3 store is and how to enter it; free of the S3 library, which takes its time to load."""

from dataclasses import dataclass

from labeler_ops.errors import OperatorError

# The frontend's development server and the two ports its other builds use.
FRONTEND_ORIGINS = ("http://localhost:3010", "http://localhost:3000", "http://localhost:3001")


@dataclass(frozen=True)
class StorageAccess:
    """Where an S3 store is and how to enter it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    datasets_bucket: str = "datasets"
    annotations_bucket: str = "annotations"

    @property
    def buckets(self) -> tuple[str, str]:
        """Both buckets: images first, exports second."""
        return self.datasets_bucket, self.annotations_bucket


class StorageError(OperatorError):
    """The store does not do what the labeler needs; one line that says what."""
