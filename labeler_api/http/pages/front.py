"""The page at `/`: what runs here, and where everything is."""

from labeler_api.http.pages import contact_sheet
from labeler_api.http.pages.page import Page, page
from labeler_api.settings import Settings

_HIDDEN = "hidden"


def front(settings: Settings) -> Page:
    """Make the page. It says no more than the JSON at `/` does, and needs nobody to be logged in."""
    values = {
        "name": settings.app_name,
        "version": settings.app_version,
        "environment": settings.environment,
        "sheet": "" if contact_sheet.is_shown(settings) else _HIDDEN,
        "metrics": "They need the header Authorization: Bearer METRICS_TOKEN"
        if settings.metrics_token
        else "Only this machine may read them"
        if settings.environment in {"development", "test"}
        else "Nobody may read them while METRICS_TOKEN is not set",
    }
    return page("front.html", values)
