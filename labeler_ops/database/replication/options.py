"""What the commands of both modes of a move are given."""

from enum import StrEnum
from typing import Annotated

import typer


class Mode(StrEnum):
    """How rows come to the target: with a dump while nobody writes, or by replication while everybody does."""

    DUMP = "dump"
    LOGICAL = "logical"


ModeOption = Annotated[
    Mode, typer.Option(help="dump: users read only while it copies. logical: seconds without writes.")
]
SourceSeen = Annotated[
    str | None,
    typer.Option(
        "--source-as-seen-by-target",
        envvar="SOURCE_DATABASE_URL_SEEN_BY_TARGET",
        help="The source's URL where the target's server uses another.",
        show_default=False,
    ),
]
TargetSeen = Annotated[
    str | None,
    typer.Option(
        "--target-as-seen-by-source",
        envvar="TARGET_DATABASE_URL_SEEN_BY_SOURCE",
        help="The target's URL where the source's server uses another.",
        show_default=False,
    ),
]
Reverse = Annotated[bool, typer.Option("--reverse/--no-reverse", help="Let writes flow back to the source afterwards.")]
CompareAfter = Annotated[
    bool,
    typer.Option(help="Open the target first and compare the rows of that moment then: for large databases."),
]
