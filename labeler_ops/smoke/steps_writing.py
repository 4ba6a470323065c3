"""The steps of a day's work, on a dataset of their own."""

from typing import Any
from urllib.parse import quote

from labeler_api.images import thumbnail_format
from labeler_ops.smoke.deployment import Deployment, check
from labeler_ops.smoke.pictures import HEIGHT, WIDTH, picture
from labeler_ops.smoke.smoke_dataset import SmokeDataset
from labeler_ops.smoke.step_runner import SmokeStep
from labeler_ops.smoke.steps_reading import decoded_size, health, login, look_up_users

_FOLDER = "first day/사진"  # a space and Korean letters, as real folders have
_PARTIAL = 206
_TASK = {"task_type": "detection"}


async def dataset(subject: SmokeDataset) -> str:
    """A dataset is made, read, listed and changed."""
    deployment = subject.deployment
    made = await subject.create_dataset()
    check(made["owner_id"] == subject.user_id, f"the dataset belongs to user {made['owner_id']}")
    listed = await deployment.ask("GET", "/api/v1/datasets")
    check(subject.dataset_id in [one["id"] for one in listed], "the new dataset is not in the list")
    change = {"name": subject.name, "description": "확인", "visibility": "private"}
    await deployment.ask("PUT", subject.dataset(), json=change)
    read = await deployment.ask("GET", subject.dataset())
    check(read["description"] == "확인", f"the description is {read['description']!r} after a change to '확인'")
    subject.project_id = (await deployment.ask("GET", subject.dataset("/project")))["id"]
    a_class = {"name": "thing", "color": "#00aa00"}
    made_class = await deployment.ask("POST", subject.project("/classes"), 201, params=_TASK, json=a_class)
    subject.class_id = made_class["class_id"]
    return subject.dataset_id


async def permission(subject: SmokeDataset) -> str:
    """The maker is the owner; with a second account: hidden before, readable as a viewer, hidden again."""
    deployment = subject.deployment
    members = await deployment.ask("GET", subject.project("/permissions"))
    roles = [(one["user_id"], one["role"]) for one in members]
    check(roles == [(subject.user_id, "owner")], f"the members of a new project are {roles}")
    if subject.member is None:
        return "the owner's role; --member-email checks another's as well"
    async with Deployment(deployment.url, subject.member) as other:
        await other.log_in()
        await _admit_and_remove(subject, other)
    return f"{subject.member.email}: hidden, then viewer, then annotator, then hidden"


async def _admit_and_remove(subject: SmokeDataset, other: Deployment) -> None:
    deployment, change = subject.deployment, {"name": "changed"}
    await other.expect("GET", subject.project(), 404)
    new = {"user_email": other.account.email, "role": "viewer"}
    member = (await deployment.ask("POST", subject.project("/permissions"), 201, json=new))["user_id"]
    await other.expect("GET", subject.project())
    await other.expect("PATCH", subject.project(), 403, json=change)
    await deployment.ask("PATCH", subject.project(f"/permissions/{member}"), json={"role": "annotator"})
    await other.expect("PATCH", subject.project(), 403, json=change)
    await deployment.expect("DELETE", subject.project(f"/permissions/{member}"), 204)
    await other.expect("GET", subject.project(), 404)


async def upload(subject: SmokeDataset) -> str:
    """Two pictures are taken."""
    subject.pictures = [picture(f"{_FOLDER}/001.jpg", "JPEG"), picture(f"{_FOLDER}/002.png", "PNG")]
    files = [("files", (one.path, one.content)) for one in subject.pictures]
    summary = await subject.deployment.ask("POST", subject.dataset("/images"), files=files)
    check(not summary["failed"], f"not taken: {summary['failed']}")
    check(summary["images_uploaded"] == len(files), f"{summary['images_uploaded']} of {len(files)} were taken")
    return f"{len(files)} images, {summary['storage_bytes_used']} bytes"


async def load(subject: SmokeDataset) -> str:
    """The links give back the bytes that were sent, whole and in part, and thumbnails."""
    page = await subject.deployment.ask("GET", subject.project("/images"), params={"limit": 50, "offset": 0})
    listed = {image["id"]: image for image in page["images"]}
    for one in subject.pictures:
        image = listed[one.image_id]
        check((image["width"], image["height"]) == (WIDTH, HEIGHT), f"{one.path}: the row has another size")
        whole = await subject.deployment.download(image["url"])
        check(whole.content == one.content, f"{one.path}: other bytes than were sent")
        part = await subject.deployment.download(image["url"], {"Range": "bytes=100-199"})
        check((part.status_code, part.content) == (_PARTIAL, one.content[100:200]), f"{one.path}: no ranges")
        thumbnail = await subject.deployment.download(image["thumbnail_url"])
        size = decoded_size(thumbnail.content, f"the thumbnail of {one.path}")
        check(max(size) <= thumbnail_format.SIDE_PIXELS, f"{one.path}: the thumbnail has {size}")
    return "bytes equal, ranges, thumbnails"


async def summary(subject: SmokeDataset) -> str:
    """The summary counts what was uploaded, and its thumbnail links work."""
    facts = await subject.deployment.ask("GET", subject.dataset("/summary"))
    counted = (facts["total_images"], facts["total_bytes"])
    expected = (len(subject.pictures), sum(len(one.content) for one in subject.pictures))
    check(counted == expected, f"the summary counts {counted}, uploaded were {expected} (images, bytes)")
    for image in facts["thumbnails"]:
        await subject.deployment.download(image["thumbnail_url"])
    return f"{counted[0]} images, {counted[1]} bytes, {len(facts['thumbnails'])} thumbnails"


async def lock(subject: SmokeDataset) -> str:
    """An image is taken, seen taken, kept and given back."""
    deployment = subject.deployment
    path = f"/api/v1/image-locks/{subject.project_id}/{quote(subject.pictures[0].image_id, safe='')}"
    taken = await deployment.ask("POST", f"{path}/acquire", json={})
    check(taken["status"] == "acquired", f"taking an image that nobody has: {taken['status']}")
    held = await deployment.ask("GET", f"/api/v1/image-locks/{subject.project_id}")
    holders = [one["user_id"] for one in held["locks"]]
    check(holders == [subject.user_id], f"the image is held by {holders}")
    kept = await deployment.ask("POST", f"{path}/heartbeat", json={})
    check(kept["status"] == "updated", f"going on holding it: {kept['status']}")
    given = await deployment.ask("DELETE", path)
    check(given["status"] == "released", f"giving it back: {given['status']}")
    check(await deployment.ask("GET", f"{path}/status") is None, "it is held after it was given back")
    return "acquired, seen, kept, released"


async def annotations(subject: SmokeDataset) -> str:
    """Annotations are drawn, read, moved, protected from a stale change, brought back and deleted."""
    deployment = subject.deployment
    made = await deployment.ask("POST", "/api/v1/annotations", json=_drawn(subject, [10.25, 20.5, 100.0, 50.75]))
    path, first = f"/api/v1/annotations/{made['id']}", made["geometry"]
    second = {**first, "bbox": [1.0, 2.0, 30.0, 40.0]}
    moved = await deployment.ask("PUT", path, json={"geometry": second, "version": made["version"]})
    check(moved["geometry"] == second, "a change was not kept")
    stale = await deployment.ask("PUT", path, 409, json={"geometry": first, "version": made["version"]})
    known = stale["conflict"]["current_version"]
    check(known == moved["version"], f"a stale change is told version {known}, it is {moved['version']}")
    restored = await deployment.ask("POST", f"{path}/restore", json={"revision": made["version"]})
    check(restored["geometry"] == first, "the first revision came back otherwise than it was")
    other = await deployment.ask("POST", "/api/v1/annotations", json=_drawn(subject, [200.0, 200.0, 20.0, 20.0]))
    listed = await _listed(subject)
    check(listed == {made["id"]: first, other["id"]: other["geometry"]}, f"the image's list has {sorted(listed)}")
    await deployment.ask("DELETE", f"/api/v1/annotations/{other['id']}")
    await deployment.expect("GET", f"/api/v1/annotations/{other['id']}", 404)
    check(set(await _listed(subject)) == {made["id"]}, "the list has an annotation that was deleted")
    history = await deployment.ask("GET", f"/api/v1/annotations/history/annotation/{made['id']}")
    check(len(history) == restored["version"], f"{len(history)} entries of history for {restored['version']} writes")
    return "created, changed, 409 on a stale change, restored, deleted"


async def publish(subject: SmokeDataset) -> str:
    """A version is published, listed, and its file holds the box that was drawn; so does an export."""
    deployment = subject.deployment
    body = {**_TASK, "export_format": "coco", "include_draft": True, "description": "labeler smoke"}
    version = await deployment.ask("POST", subject.project("/versions/publish"), json=body)
    page = await deployment.ask("GET", subject.project("/versions"))
    check([one["id"] for one in page["versions"]] == [version["id"]], "the version is not in the list")
    exported = await deployment.ask("POST", subject.project("/export"), json=body)
    sizes = []
    for link in (page["versions"][0]["download_url"], exported["download_url"]):
        file = await deployment.download(link)
        check("attachment" in file.headers.get("Content-Disposition", ""), "the browser would leave the page for it")
        boxes = [one["bbox"] for one in file.json()["annotations"]]
        check(boxes == [[10.25, 20.5, 100.0, 50.75]], f"the file has the boxes {boxes}")
        sizes.append(len(file.content))
    return f"{version['version_number']}, {sizes[0]} bytes; export {sizes[1]} bytes"


def _drawn(subject: SmokeDataset, box: list[float]) -> dict[str, Any]:
    return {
        "project_id": subject.project_id,
        "image_id": subject.pictures[0].image_id,
        "annotation_type": "bbox",
        "geometry": {"type": "bbox", "bbox": box, "image_width": WIDTH, "image_height": HEIGHT},
        "class_id": subject.class_id,
        "class_name": "thing",
    }


async def _listed(subject: SmokeDataset) -> dict[int, Any]:
    path = f"/api/v1/annotations/project/{subject.project_id}"
    query = {"image_id": subject.pictures[0].image_id, "limit": 1000}
    rows = await subject.deployment.ask("GET", path, params=query)
    return {row["id"]: row["geometry"] for row in rows}


_USER, _DATASET, _IMAGES = ("login",), ("dataset create, read, change",), ("image upload",)
STEPS = (
    SmokeStep("health", health),
    SmokeStep("login", login),
    SmokeStep("user look-up", look_up_users, _USER),
    SmokeStep(_DATASET[0], dataset, _USER),
    SmokeStep("project permission", permission, _DATASET),
    SmokeStep(_IMAGES[0], upload, _DATASET),
    SmokeStep("image and thumbnail load", load, _IMAGES),
    SmokeStep("dataset summary", summary, _IMAGES),
    SmokeStep("image lock", lock, _IMAGES),
    SmokeStep("annotations", annotations, _IMAGES),
    SmokeStep("publish and download", publish, ("annotations",)),
)
