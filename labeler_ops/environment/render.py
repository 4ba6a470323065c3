"""The files that are made from the declaration: both examples and the documents. `labeler env render` writes them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import fill

from labeler_ops.environment import examples
from labeler_ops.environment.declaration import GROUPS, VARIABLES
from labeler_ops.environment.variables import Group, Text

_COLUMN = 40  # where the comments begin, where the values leave room for it
_WIDTH = 100
_CODE = re.compile(r"`[^`]+`")
_NO_BREAK = "\x1f"  # stands for a space, and is no white space to `textwrap`

_EXAMPLE_HEAD = """\
# Every variable of the two services and of the `labeler` command, with its default. Made by `labeler env render`.
# Copy to .env and fill in what differs; `labeler env check --file .env` says what is missing or contradictory.
# `make run` needs none of them: it starts everything itself and makes its own secrets.
"""

_LOCAL_HEAD = """\
# Work on this machine against the databases on Railway and the objects in R2. Made by `labeler env render`.
# Copy to .env.local, fill in, check it, and start; what is given here is not embedded:
#
#     labeler env check --file .env.local --connect
#     set -a; . ./.env.local; set +a; make run
#
# The addresses are Railway's public ones (DATABASE_PUBLIC_URL of each database). Leave the whole line of a database
# out, and `make run` embeds one. Few connections, since the servers are shared with what runs there. JOBS=off: what is
# deleted in the buckets there, the API there deletes.
"""

_ENGLISH = {
    "title": "# Environment variables",
    "note": "Made from the declaration in `labeler_ops/environment` by `labeler env render`; do not edit. "
    "[한국어](environment-variables.ko.md)",
    "use": "`labeler env check [--for api|gateway|ops] [--file .env] [--connect]` prints every variable with its "
    "source and form, and what is missing or contradictory; with `--connect` it asks every part. Exit code 1: "
    "something is wrong. Secrets are never printed.",
    "sources": "The Labeler DB is the first of: `LABELER_DB_URL`, `LABELER_DB_HOST` with its parts, "
    "`DATABASE_UNPOOLED_URL`, `DATABASE_URL`, `PGHOST` with its parts. Required: a Labeler DB for the API; a User DB "
    "and `USER_GATEWAY_TOKENS` for the gateway; outside development also `JWT_SECRET_KEY`, `MEDIA_LINK_KEYS`, "
    "`USER_GATEWAY_TOKEN` and `API_PUBLIC_URL`.",
    "head": "| variable | form | default | read by | |\n|---|---|---|---|---|",
    "secret": "secret",
    "examples": "## Complete examples\nEach `…`, `PASSWORD` and `TOKEN` is a secret of your own: "
    "`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`. `TOKEN` is the same on both sides. The last "
    "block checks the files; each line ends with `nothing is wrong`.",
}
_KOREAN = {
    "title": "# 환경 변수",
    "note": "`labeler_ops/environment`의 선언에서 `labeler env render`로 생성됩니다. 직접 수정하지 마세요. "
    "[English](environment-variables.md)",
    "use": "`labeler env check [--for api|gateway|ops] [--file .env] [--connect]`는 모든 변수의 출처와 형식, 누락과 "
    "모순을 출력합니다. `--connect`를 붙이면 각 데이터베이스·스토리지·게이트웨이에 실제로 접속해 확인합니다. "
    "문제가 있으면 종료 코드는 1이며, 비밀값은 출력하지 않습니다.",
    "sources": "Labeler DB는 `LABELER_DB_URL`, `LABELER_DB_HOST`와 개별 값, `DATABASE_UNPOOLED_URL`, `DATABASE_URL`, "
    "`PGHOST`와 개별 값의 순서로 처음 발견된 것을 사용합니다. 필수: API는 Labeler DB, 게이트웨이는 User DB와 "
    "`USER_GATEWAY_TOKENS`. 개발 환경 외에는 `JWT_SECRET_KEY`, `MEDIA_LINK_KEYS`, `USER_GATEWAY_TOKEN`, "
    "`API_PUBLIC_URL`도 필수입니다.",
    "head": "| 변수 | 형식 | 기본값 | 사용처 | |\n|---|---|---|---|---|",
    "secret": "비밀값",
    "examples": "## 완전한 예\n`…`, `PASSWORD`, `TOKEN`은 직접 만드는 비밀값입니다: "
    "`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`. `TOKEN`은 양쪽이 같습니다. 마지막 블록이 파일을 "
    "점검하며, 각 줄은 `nothing is wrong`으로 끝납니다.",
}


def example() -> str:
    """Make .env.example."""
    parts = [_EXAMPLE_HEAD]
    for group in GROUPS:
        parts.append(f"# --- {group.title} ---")
        parts += [_line(text) for text in group.texts]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def local_example() -> str:
    """Make .env.local.example."""
    wanted = [text for group in GROUPS for text in group.texts if text.local is not None]
    return (
        "\n".join([_LOCAL_HEAD, *(_commented(f"{text.name}={_quoted(text.local or '')}", text) for text in wanted)])
        + "\n"
    )


def _line(text: Text) -> str:
    value = VARIABLES[text.name].default if text.example is None else text.example
    return _commented(f"{'#' if text.fallback else ''}{text.name}={_quoted(value)}", text)


def _commented(line: str, text: Text) -> str:
    form = VARIABLES[text.name].form
    plain = text.url or form in {"text", "true | false"} or form in text.english
    comment = text.english if plain else f"{text.english} ({form})"
    return f"{line:<{_COLUMN}} # {comment}"


def _quoted(value: str) -> str:
    # & of a URL would end the command where a shell reads the file.
    return f'"{value}"' if any(character in value for character in " &|;()$#") else value


def english() -> str:
    """Make the English document."""
    return _document(_ENGLISH, lambda group: group.title, lambda text: text.english)


def korean() -> str:
    """Make the Korean document."""
    return _document(_KOREAN, lambda group: group.korean, lambda text: text.korean)


def _document(words: Mapping[str, str], title: Callable[[Group], str], said: Callable[[Text], str]) -> str:
    parts = [words["title"], "", *(f"{_wrapped(words[name])}\n" for name in ("note", "use", "sources"))]
    for group in GROUPS:
        parts += [f"## {title(group)}", words["head"]]
        for text in group.texts:
            one = VARIABLES[text.name]
            default = f"`{one.default}`" if one.default else ""
            secret = f" **{words['secret']}**" if one.secret else ""
            cells = (
                f"`{one.name}`",
                _cell(one.form),
                _cell(default),
                " ".join(one.services),
                _cell(said(text)) + secret,
            )
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    heading, _, said_of_examples = words["examples"].partition("\n")
    parts += [heading, _wrapped(said_of_examples), *examples.blocks()]
    return "\n".join(parts).rstrip() + "\n"


def _wrapped(text: str) -> str:
    """Break lines between words, but not within code: it is copied."""
    whole = _CODE.sub(lambda code: code[0].replace(" ", _NO_BREAK), text)
    return fill(whole, _WIDTH, break_long_words=False, break_on_hyphens=False).replace(_NO_BREAK, " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


FILES: Mapping[str, Callable[[], str]] = {
    ".env.example": example,
    ".env.local.example": local_example,
    "docs/deployment/environment-variables.md": english,
    "docs/deployment/environment-variables.ko.md": korean,
}
"""What is made, by its path below the project's directory."""


def render(root: Path) -> list[str]:
    """Write every file that differs; returns the paths written."""
    written = []
    for name, make in FILES.items():
        path, text = root / name, make()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
    return written
