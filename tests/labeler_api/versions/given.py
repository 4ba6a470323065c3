"""A source in memory, for the formats as pure functions."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from labeler_api.versions.files.writing import gathered
from labeler_api.versions.formats import Format
from labeler_api.versions.formats.classes import ClassList
from labeler_api.versions.formats.source import Annotation, Header, Image, LabeledImage

MADE = datetime(2026, 12, 31, 15, 30, tzinfo=UTC)  # the next year already in Korea
LABELED = datetime(2026, 11, 20, 1, 2, 3, 4000, tzinfo=UTC)


class Given:
    """A source in memory."""

    def __init__(self, annotations: Sequence[Annotation], listed: dict[str, dict[str, Any]], **header: Any) -> None:
        self._annotations = annotations
        images = dict.fromkeys(annotation.image_id for annotation in annotations)
        used = {a.class_id: a.class_name for a in annotations if a.annotation_type != "no_object"}
        self.header = Header(
            **{
                "project_name": "Zipper",
                "project_description": None,
                "project_created_at": datetime(2026, 1, 1, tzinfo=UTC),
                "dataset_id": "ds_1",
                "dataset_name": "지퍼",
                "task_type": "detection",
                "version_created_at": MADE,
                "annotation_count": len(annotations),
                "image_count": len(images),
                "classes": ClassList(listed, used.items()),
                "emails": {3: "reviewer@example.com", 4: "annotator@example.com"},
                **header,
            }
        )

    async def annotations(self) -> AsyncGenerator[Annotation, None]:
        for annotation in self._annotations:
            yield annotation

    async def images(self) -> AsyncGenerator[LabeledImage, None]:
        for image_id in dict.fromkeys(annotation.image_id for annotation in self._annotations):
            of_it = [annotation for annotation in self._annotations if annotation.image_id == image_id]
            labels = [a.class_id for a in of_it if a.annotation_type == "classification"]
            yield LabeledImage(image_id, of_it[0].image, labels)


def made(number: int, image_id: str, kind: str, geometry: dict[str, Any], **values: Any) -> Annotation:
    image = values.pop("image", Image(f"{image_id}.jpg", 640, 480, None))
    return Annotation(
        **{
            "id": number,
            "image_id": image_id,
            "annotation_type": kind,
            "geometry": geometry,
            "class_id": "b",
            "class_name": None,
            "attributes": msgspec.Raw(b"{}"),
            "created_by": 4,
            "created_at": LABELED,
            "confirmed_by": None,
            "image": image,
            **values,
        }
    )


async def written(kind: Format, source: Given) -> bytes:
    return b"".join([chunk async for chunk in gathered(kind.render(source))])
