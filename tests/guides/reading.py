"""The guides as data: their sections, their links, and every command line that they tell a person to type."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "deployment").glob("*.md"))
# Made from the declaration of the variables, and compared with it by a test of its own.
GENERATED = {"environment-variables.md", "environment-variables.ko.md"}

_FENCE = re.compile(r"^\s*```(\w*)(?: ([\w -]+))?\s*$")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_CODE = re.compile(r"`([^`\n]+)`")
_ENDS = frozenset({";", "&&", "||", "|", "&", "(", ")", ";;", "|&"})
_KEYWORDS = frozenset({"do", "done", "if", "then", "else", "fi", "while", "{", "}", "!"})
_KEPT_WORDS = str.maketrans({"<": "", ">": ""})


@dataclass
class Command:
    """One command as a shell would start it: its words, and the variables that are set for it and before it."""

    guide: str
    line: int
    words: list[str]
    variables: set[str] = field(default_factory=set)
    place: str = ""

    @property
    def where(self) -> str:
        return f"{self.guide}:{self.line}: {' '.join(self.words)}"


@dataclass(frozen=True)
class Block:
    """A fenced block; `kind` and `place` are what stands behind its fence, `line` its first line.

    `sh` is typed, and what has no kind is shown for it. `sh railway` is typed, too, but where no test can: `place` says
    whose commands they are. `sh terminal 2` runs on in a terminal of its own.
    """

    kind: str
    place: str
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Guide:
    """One guide."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def text(self) -> str:
        return self.path.read_text()

    def blocks(self) -> Iterator[Block]:
        kind: str | None = None
        place, start, inside = "", 0, list[str]()
        for number, line in enumerate(self.text.splitlines(), 1):
            fence = _FENCE.match(line)
            if fence and kind is None:
                kind, place, start, inside = fence[1], fence[2] or "", number + 1, []
            elif fence:
                yield Block(kind or "", place, start, tuple(inside))
                kind = None
            else:
                inside.append(line)

    def prose(self) -> Iterator[tuple[int, str]]:
        """Every line that stands in no block."""
        inside = False
        for number, line in enumerate(self.text.splitlines(), 1):
            if _FENCE.match(line):
                inside = not inside
            elif not inside:
                yield number, line

    def headings(self) -> list[int]:
        return [len(found[1]) for _, line in self.prose() if (found := re.match(r"(#+) ", line))]

    def links(self) -> list[str]:
        return [link for _, line in self.prose() for link in re.findall(r"\]\(([^)#]+)[^)]*\)", line)]

    def code(self) -> Iterator[tuple[int, str]]:
        """Every span of code in the prose."""
        for number, line in self.prose():
            yield from ((number, span) for span in _CODE.findall(line))

    def typed(self) -> list[Command]:
        """Every command of the blocks of shell, in order; each knows what was exported before it."""
        exported: set[str] = set()
        found: list[Command] = []
        for block in self.blocks():
            if block.kind == "sh":
                found += _commands(self.name, block, exported)
        return found


def _commands(guide: str, block: Block, exported: set[str]) -> Iterator[Command]:
    for number, line in _joined(block):
        for words in split(line):
            given = {word.partition("=")[0] for word in _leading(words)}
            rest = words[len(_leading(words)) :]
            if rest[:1] == ["."] and len(rest) > 1:
                exported |= files().get(Path(rest[1]).name, set())
            if rest[:1] == ["export"]:
                exported |= {word.partition("=")[0] for word in rest[1:]}
            elif not rest:
                exported |= given  # `set -a` stands before such lines
            else:
                yield Command(guide, number, rest, exported | given, block.place)


@cache
def files() -> dict[str, set[str]]:
    """What each file exports that a guide has a person write; another guide may read it."""
    written = re.compile(r"^cat > (\S+\.env) <<'(\w+)'\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
    found = {name: text for path in GUIDES for name, _, text in written.findall(path.read_text())}
    return {name: set(re.findall(r"(?:^export| )\s*([A-Z][A-Z0-9_]*)=", text, re.M)) for name, text in found.items()}


def _leading(words: list[str]) -> list[str]:
    count = next((n for n, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    return words[:count]


def _joined(block: Block) -> Iterator[tuple[int, str]]:
    """Put lines together that end with a backslash, without the line that ends a file that is written here."""
    held, first, ends = "", 0, ""
    for number, line in enumerate(block.lines, block.line):
        if ends and line == ends:
            continue
        ends = found[1] if (found := re.search(r"<<'(\w+)'$", line)) else ends
        first = first if held else number
        held += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield first, held
            held = ""


def split(line: str) -> list[list[str]]:
    """Cut a line into commands, without comments, redirections and the words of the shell's own language."""
    # `<run>` is a word to fill in, and no redirection.
    plain = re.sub(r"<([\w -]+)>", lambda found: found[1].replace(" ", "_"), line)
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=True)
    lexer.commenters = "#"
    lexer.wordchars += "…$@:,%{}[]!*?^\\°·"
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word in _ENDS:
            commands.append([])
        elif word in _KEYWORDS and not commands[-1]:
            continue
        else:
            commands[-1].append(word)
    return [words for words in commands if words and words[0] not in {"<", ">"}]  # such a rest is a loop's


@cache
def guides() -> tuple[Guide, ...]:
    return tuple(Guide(path) for path in GUIDES if path.name not in GENERATED)


def pairs() -> list[tuple[Guide, Guide]]:
    """Each guide with its Korean one."""
    by_name = {guide.name: guide for guide in guides()}
    return [(by_name[name.replace(".ko.", ".")], guide) for name, guide in by_name.items() if ".ko." in name]


def guide(name: str) -> Guide:
    """One of them by its file's name."""
    return next(one for one in guides() if one.name == name)
