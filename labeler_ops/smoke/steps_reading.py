"""The steps that change nothing, but for the last, which must be refused: for a deployment in maintenance mode."""

from typing import Any

from labeler_ops.smoke.deployment import check, decode_json, response_summary
from labeler_ops.smoke.pictures import dimensions
from labeler_ops.smoke.smoke_dataset import SmokeDataset
from labeler_ops.smoke.step_runner import Skipped, SmokeStep

_OK, _UNAVAILABLE = 200, 503


async def health(subject: SmokeDataset) -> str:
    """The process is up, and reaches its database, the user gateway and the object store."""
    deployment = subject.deployment
    await deployment.ask("GET", "/health")
    answer = await deployment.send("GET", "/health/deploy")
    # What is away is in the body, of the refusal too.
    check(answer.status_code == _OK, f"GET /health/deploy: {answer.status_code} {answer.text[:300]}")
    return ", ".join(f"{name} {state}" for name, state in answer.json().items() if name != "status")


async def login(subject: SmokeDataset) -> str:
    """Without a token there is no entry; the password gives one."""
    await subject.deployment.ask("GET", "/api/v1/auth/me", 401)
    await subject.deployment.log_in()
    me = await subject.deployment.ask("GET", "/api/v1/auth/me")
    subject.user_id = me["id"]
    check(me["email"].lower() == subject.deployment.account.email.lower(), f"logged in as {me['email']}")
    check(isinstance(me["badge_color"], str), "badge_color of /auth/me is no text: the frontend would crash")
    return f"user {subject.user_id}"


async def look_up_users(subject: SmokeDataset) -> str:
    """The user directory finds a user by id and by a part of the address."""
    email = subject.deployment.account.email
    user = await subject.deployment.ask("GET", f"/api/v1/users/{subject.user_id}")
    check(user["email"].lower() == email.lower(), f"user {subject.user_id} has the address {user['email']}")
    found = await subject.deployment.ask("GET", "/api/v1/users/search", params={"q": email, "limit": 50})
    check(subject.user_id in [one["id"] for one in found["users"]], f"the search for {email} does not find it")
    return f"{user['full_name'] or email}"


async def lists(subject: SmokeDataset) -> str:
    """The lists of the dashboard are there."""
    deployment = subject.deployment
    datasets = await deployment.ask("GET", "/api/v1/datasets")
    projects = await deployment.ask("GET", "/api/v1/projects")
    invitations = await deployment.ask("GET", "/api/v1/invitations", params={"type": "received", "status": "pending"})
    filled = next((one for one in datasets if one["num_items"]), None)
    if filled is not None:
        subject.dataset_id = filled["id"]
        subject.project_id = (await deployment.ask("GET", subject.dataset("/project")))["id"]
    return f"{len(datasets)} datasets, {len(projects)} projects, {invitations['total']} invitations"


async def stored_image(subject: SmokeDataset) -> str:
    """An image that is there already loads whole, and its thumbnail."""
    image = await _first_image(subject)
    content = (await subject.deployment.download(image["url"])).content
    check(len(content) == image["size"], f"{image['id']} has {len(content)} bytes, its row says {image['size']}")
    width, height = decoded_size(content, image["id"])
    shown = ""
    if image["thumbnail_url"]:
        thumbnail = (await subject.deployment.download(image["thumbnail_url"])).content
        shown = f", thumbnail {'x'.join(map(str, decoded_size(thumbnail, 'its thumbnail')))}"
    return f"{image['id']}: {width}x{height}, {len(content)} bytes{shown}"


async def stored_annotations(subject: SmokeDataset) -> str:
    """Annotations, locks and versions of a project can be read."""
    await _first_image(subject)
    deployment, project = subject.deployment, subject.project_id
    rows = await deployment.ask("GET", f"/api/v1/annotations/project/{project}", params={"limit": 1000})
    locks = await deployment.ask("GET", f"/api/v1/image-locks/{project}")
    versions = await deployment.ask("GET", subject.project("/versions"))
    return f"{len(rows)} annotations, {len(locks['locks'])} locks, {versions['total']} versions"


async def stored_summary(subject: SmokeDataset) -> str:
    """The summary of a dataset counts its images."""
    await _first_image(subject)
    summary = await subject.deployment.ask("GET", subject.dataset("/summary"))
    check(summary["total_images"] > 0, "the summary counts no image where there are some")
    return f"{summary['total_images']} images, {summary['total_annotations']} annotations"


async def write_refused(subject: SmokeDataset) -> str:
    """A write is answered with 503 `maintenance`, and says when to come back."""
    answer = await subject.ask_for_dataset()
    refused = answer.status_code == _UNAVAILABLE and decode_json(answer).get("code") == "maintenance"
    check(
        refused, f"expected 503 maintenance for a write, got {response_summary(answer)}: this is not maintenance mode"
    )
    check(answer.headers.get("Retry-After"), "the refusal does not say when to come back (Retry-After)")
    return f"503 maintenance, again in {answer.headers['Retry-After']} s"


def decoded_size(content: bytes, what: str) -> tuple[int, int]:
    """Decode a picture. Raises StepFailed."""
    try:
        return dimensions(content)
    except ValueError as error:
        check(False, f"{what} is {error}")
        raise


async def _first_image(subject: SmokeDataset) -> dict[str, Any]:
    if not subject.project_id:
        raise Skipped("this account sees no dataset with images")
    page = await subject.deployment.ask("GET", subject.project("/images"), params={"limit": 1, "offset": 0})
    image: dict[str, Any] = page["images"][0]
    return image


_USER = ("login",)
STEPS = (
    SmokeStep("health", health),
    SmokeStep("login", login),
    SmokeStep("user look-up", look_up_users, _USER),
    SmokeStep("lists", lists, _USER),
    SmokeStep("image and thumbnail load", stored_image, ("lists",)),
    SmokeStep("annotation load", stored_annotations, ("lists",)),
    SmokeStep("dataset summary", stored_summary, ("lists",)),
    SmokeStep("write refused", write_refused, _USER),
)
