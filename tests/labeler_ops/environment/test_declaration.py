"""One declaration: complete, true to the settings of the services, and what the files are made from."""

import re
from pathlib import Path

import msgspec
import pytest
from dotenv import dotenv_values

from labeler_api import settings as api_settings
from labeler_ops.environment.declaration import GROUPS, VARIABLES
from labeler_ops.environment.render import FILES
from labeler_ops.environment.variables import written
from user_gateway.settings import Variables

ROOT = Path(__file__).parents[3]
PARTS = {"HOST", "PORT", "NAME", "USER", "PASSWORD"}
# Read by PostgreSQL's, OpenTelemetry's and the system's own programs too: not ours to describe.
FOREIGN = {
    "PATH",
    "XDG_CACHE_HOME",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_RESOURCE_ATTRIBUTES",
}


def sources() -> str:
    files = [
        path
        for name in ("labeler_api", "user_gateway", "service_kit", "labeler_ops")
        for path in (ROOT / name).rglob("*.py")
    ]
    return "\n".join(path.read_text() for path in files if path.parent.name != "environment")


def test_every_field_of_the_services_is_declared_with_its_default() -> None:
    for field in msgspec.structs.fields(api_settings.Settings):
        variable = VARIABLES[field.name.upper()]
        assert "api" in variable.services
        assert variable.secret or variable.default == written(field.default)
    for field in msgspec.structs.fields(Variables):
        assert "gateway" in VARIABLES[field.encode_name].services


def test_everything_that_the_code_reads_is_declared() -> None:
    read = re.findall(r'envvar="([A-Z0-9_]+)"|env(?:iron)?(?:\.get\(|\[)"([A-Z0-9_]+)"', sources())
    assert {name for pair in read for name in pair if name} - FOREIGN <= set(VARIABLES)


def test_nothing_is_invented() -> None:
    fields = {field.name.upper() for field in msgspec.structs.fields(api_settings.Settings)}
    fields |= {field.encode_name for field in msgspec.structs.fields(Variables)}
    text = sources()
    for name in set(VARIABLES) - fields:
        prefix, _, part = name.rpartition("_")
        side, _, rest = name.partition("_S3_")
        if prefix in {"LABELER_DB", "PLATFORM_DB", "USER_DB"}:
            assert part in PARTS | {"URL"}, name
        elif side in {"SOURCE", "TARGET", "BACKUP"}:
            assert re.search(f"['\"]{rest}['\"]", text), name
        else:
            assert f'"{name}"' in text, name


def test_each_is_declared_once_and_said_in_two_languages() -> None:
    texts = [text for group in GROUPS for text in group.texts]
    assert len(texts) == len(VARIABLES)
    for text in texts:
        assert text.english, text.name
        assert re.search("[가-힣]", text.korean) or text.korean == text.english, text.name


def test_what_sounds_secret_is_secret() -> None:
    for name, variable in VARIABLES.items():
        sounds = re.search(r"PASSWORD|SECRET|TOKENS?$|ACCESS_KEY|_KEYS$|DATABASE_URL|_DB_(UNPOOLED_)?URL", name)
        # The addresses of databases and of the shared limits hold a password, too.
        assert variable.secret == bool(sounds or name in {"DATABASE_UNPOOLED_URL", "RATE_LIMIT_STORAGE"}), name


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_current(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name](), "run: labeler env render"


def test_the_example_can_be_used_as_it_is() -> None:
    """Docker and dotenv read it alike, comments left out, and the API takes its values."""
    values = dotenv_values(ROOT / ".env.example", interpolate=False)
    settings = api_settings.load({name: value for name, value in values.items() if value})
    assert settings.app_name == "Image Labeler API"
    assert settings.origins == api_settings.Settings(labeler_db_url="").origins
    assert settings.api_workers == 1
