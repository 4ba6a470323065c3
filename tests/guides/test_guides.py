"""A guide and the code cannot part: each command line of each guide in docs/deployment is read and tried here.

Blocks that are marked `sh` hold what a person types, in order; other blocks show what comes back. A line is not run: it
is parsed by the real command line, with the variables set that the guide has exported by then.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides import foreign_commands
from tests.guides.parsing import refusal, unknown_words, variables
from tests.guides.reading import ROOT, Command, Guide, guides, pairs, split

TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# What a line may begin with that is not ours: clients, the platform's own tools, and the shell's.
OTHERS = {
    *("psql", "pg_restore", "pg_dump", "pg_dumpall", "createdb", "dropdb", "pg_ctl", "initdb"),
    *("railway", "docker", "curl", "rclone", "apt-get", "pip", "git", "npx", "wrangler"),
    *("kubectl", "kind"),
    *("set", "export", "alias", "echo", "grep", "read", "while", "for", "IFS=", "shred", "rm", "cp", "cat", "sleep"),
    *(
        "python3",
        "eval",
        "cd",
        "mkdir",
        "chmod",
        "new",
        "date",
        "sh",
        "test",
        "jq",
        "printf",
        "ps",
        "exit",
        "unset",
        "[",
        "umask",
        "source",
        ".",
    ),
}
# How a line begins that is a command, and not a message that names one.
_BEGINS = r"([A-Z_]+=\S+ )*(\S*/)?(labeler|make|railway|docker|kubectl|\.|\S+ \S+ \* \* \S+ +\.) "
_LEAVES_OUT = r"Missing parameter|Option '\S+' requires an argument|NoArgsIsHelp"
PREFIXES = (
    "docs/",
    "tests/",
    "labeler_ops/",
    "labeler_api/",
    "user_gateway/",
    "requirements/",
    "proto/",
    "benchmarks/",
    "deploy/",
)


def ours(command: Command) -> list[str] | None:
    """Return the words behind `labeler`, wherever it stands in a line; None where it does not."""
    for number, word in enumerate(command.words):
        if Path(word).name == "labeler" and (number == 0 or command.words[number - 1] in {"--", "exec", "labeler-api"}):
            return command.words[number + 1 :]
    return None


def _name(guide: Guide) -> str:
    return guide.name


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_every_line_of_a_guide_can_be_typed(guide: Guide) -> None:
    wrong = []
    for command in guide.typed():
        words = ours(command)
        if words is not None:
            if words[:1] != ["--help"] and (reason := refusal(words, command.variables)):
                wrong.append(f"{command.where}: {reason}")
        elif command.words[0] == "make":
            targets = [word for word in command.words[1:] if re.fullmatch(r"[a-z-]+", word)]
            wrong += [f"{command.where}: no such target" for target in targets if target not in TARGETS]
        elif Path(command.words[0]).name not in OTHERS and not (ROOT / command.words[0]).exists():
            wrong.append(f"{command.where}: what is this?")
    assert wrong == []


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_labeler_is_found_before_it_is_typed(guide: Guide) -> None:
    """It is in the virtual environment of the checkout; a shell finds it by an alias, or when that was activated."""
    first = next((command for command in guide.typed() if command.words[0] == "labeler" and not command.place), None)
    if first is not None:
        before = "\n".join(guide.text.splitlines()[: first.line])
        assert re.search(r"^alias labeler=|\. \.venv/bin/activate", before, re.MULTILINE), first.where


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_what_only_others_can_run_is_in_their_documentation(guide: Guide) -> None:
    """A block says whose lines it holds, and `foreign_commands.yaml` which of their words are documented."""
    wrong = []
    for block in guide.blocks():
        if block.kind == "sh" and block.place and not block.place.startswith("terminal "):
            wrong += (
                []
                if block.place in foreign_commands.table()
                else [f"{guide.name}:{block.line}: whose is {block.place}?"]
            )
    for command in guide.typed():
        if command.words[0] in foreign_commands.table():
            wrong += [f"{command.where}: {said}" for said in [foreign_commands.objection(command.words)] if said]
            wrong += [] if command.words[0] == command.place else [f"{command.where}: not marked as {command.words[0]}"]
    for number, span in guide.code():
        for words in split(span) if span.startswith(tuple(f"{one} " for one in foreign_commands.table())) else ():
            said = foreign_commands.objection(words) if words[1:] != ["--version"] else None
            wrong += [f"{guide.name}:{number}: {span}: {said}"] if said else []
    assert wrong == []


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_what_a_person_types_is_marked(guide: Guide) -> None:
    """Else the test above would not look at it."""
    wrong = [
        f"{guide.name}:{number}: {line}"
        for block in guide.blocks()
        if block.kind not in {"sh", "cron"}
        for number, line in enumerate(block.lines, block.line)
        # What a command prints as the next one is shown with an indent.
        if re.match(r"([A-Z_]+=\S+ )*(labeler|railway|make|psql|export|\.venv/bin/labeler|curl) ", line)
    ]
    assert wrong == []


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_every_command_that_is_mentioned_exists(guide: Guide) -> None:
    """In the text, in tables, and in what a command prints, behind another program's `--` and a shell's `&&`, too."""
    mentions = [*guide.code()]
    mentions += [(block.line, line.strip()) for block in guide.blocks() if block.kind != "sh" for line in block.lines]
    wrong = [f"{guide.name}:{number}: {text}: {said}" for number, text in mentions for said in _unknown(text)]
    assert wrong == []


def _unknown(text: str) -> Iterator[str]:
    """What a mention names that is not there; one may leave out what is required."""
    if not re.search(r"(^|\s)(\S*/)?(labeler|make) [a-z]", text):
        return
    for words in split(text) if re.match(_BEGINS, text) else []:
        typed = Command("", 0, [word for word in words if not re.match(r"[A-Z_]+=", word)])
        said = ours(typed) if typed.words else None
        if said is not None:
            yield from (f"there is no {word}" for word in unknown_words(said))
            if "…" not in text and (reason := refusal(said, variables())) and not re.match(_LEAVES_OUT, reason):
                yield reason
        elif typed.words[:1] == ["make"] and typed.words[1:] and typed.words[1] not in TARGETS:
            yield f"there is no target {typed.words[1]}"


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_every_file_that_is_named_is_there(guide: Guide) -> None:
    wrong = [link for link in guide.links() if "://" not in link and not (guide.path.parent / link).exists()]
    for _, span in guide.code():
        for word in span.split():
            path = word.strip("`'\",;:()").partition("::")[0]
            if path.startswith(PREFIXES) and not list(ROOT.glob(path)):
                wrong.append(path)
    assert wrong == []


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_no_line_puts_a_password_on_a_command_line(guide: Guide) -> None:
    """Everybody on the machine reads it (`ps`), and the shell keeps it: variables and files do neither."""
    wrong = [
        command.where
        for command in guide.typed()
        if ours(command) is not None
        and any(re.search(r"://[^/\s:@]+:[^@\s]+@", word) or word == "--password" for word in command.words)
    ]
    for number, span in guide.code():
        if re.search(r"(^|\s)labeler\s.*://[^/\s:@]+:[^@\s]+@", span):
            wrong.append(f"{guide.name}:{number}: {span}")
    assert wrong == []


@pytest.mark.parametrize("guide", guides(), ids=_name)
def test_while_nobody_may_write_a_look_only_reads(guide: Guide) -> None:
    """`labeler smoke` without `--read-only` writes, and fails where the guide has stopped all writing."""
    stopped, wrong = False, []
    for command in guide.typed():
        words = ours(command) or []
        if words[:2] in (["maintenance", "on"], ["maintenance", "off"]):
            stopped = words[1] == "on"
        elif words[:1] == ["smoke"] and stopped and "--read-only" not in words:
            wrong.append(command.where)
    assert wrong == []


def test_every_guide_has_its_korean() -> None:
    english = {guide.name for guide in guides() if ".ko." not in guide.name}
    assert {guide.name for _, korean in pairs() for guide in [korean]} == {
        name.replace(".md", ".ko.md") for name in english
    }


def _reason(words: list[str]) -> int:
    return words.index("--reason") if "--reason" in words else len(words)


@pytest.mark.parametrize(("english", "korean"), pairs(), ids=[pair[0].name for pair in pairs()])
def test_the_korean_guide_says_the_same(english: Guide, korean: Guide) -> None:
    """The same sections, the same lines to type in the same order, and the same things shown."""
    assert korean.headings() == english.headings()
    # A reason that people read is in their language.
    typed = [
        [words for command in guide.typed() if (words := command.words[: _reason(command.words)])]
        for guide in (english, korean)
    ]
    assert typed[1] == typed[0]
    assert [(block.kind, block.place) for block in korean.blocks()] == [
        (block.kind, block.place) for block in english.blocks()
    ]
    shown = [[block.text for block in guide.blocks() if block.kind in {"", "json"}] for guide in (english, korean)]
    assert shown[1] == shown[0]
    links = [{link.replace(".ko.md", ".md") for link in guide.links()} for guide in (english, korean)]
    assert links[0] == links[1] or links[0] ^ links[1] <= {english.name}
    spoken = [
        Counter(span for _, span in guide.code() if span.startswith("labeler ") and "…" not in span)
        for guide in (english, korean)
    ]
    assert spoken[1] == spoken[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("labeler backup restor latest", "there is no restor"),
        ("railway ssh --service labeler-api -- labeler maintenance of", "there is no of"),
        ("docker compose exec labeler-api labeler env check --for apis", "not one of"),
        (
            "15 2 * * * . /etc/backup.env && labeler backup create && labeler backup prune --remov",
            "there is no --remov",
        ),
        (".venv/bin/labeler move check --databases", "there is no --databases"),
    ],
)
def test_a_mention_that_cannot_work_is_seen(text: str, said: str) -> None:
    assert said in " ".join(_unknown(text))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("railway variable put A=1", "no command 'variable put'"),
        ("railway redeploy --servis labeler-api", "no option --servis"),
        ("railway redeploy --service", "--service wants a value"),
        ("railway config plan twice", "takes 0 words"),
        ("railway ssh --service labeler-api -- labeler --anything", None),
        ("docker compose up --build", None),
    ],
)
def test_a_line_that_others_would_refuse_is_seen(line: str, said: str | None) -> None:
    found = foreign_commands.objection(line.split())
    assert found is None if said is None else said in (found or "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("smoke --url https://x.example", "Missing parameter: email"),
        ("smoke --url https://x.example --email a@b.c --readonly", "No such option: --readonly"),
        ("backup restor latest", "No such command 'restor'"),
        ("db verify", "Missing parameter: source"),
        ("db prune-history --older-than-days many", "valid integer"),
        ("storage", "NoArgsIsHelp"),
        ("maintenance off extra", "unexpected extra argument"),
    ],
)
def test_a_line_that_cannot_work_is_seen(line: str, said: str) -> None:
    assert said in (refusal(line.split(), set()) or "")


def test_what_a_guide_has_exported_counts() -> None:
    assert refusal(["db", "verify"], {"SOURCE_DATABASE_URL", "TARGET_DATABASE_URL"}) is None
