"""Comments, docstrings and pages use usual words: these four habits made a reader stop.

"Anew" is again. "Of before" is older, or former. "A look" is a check or a query. A "who" needs a person before it, such
as "a member who".
"""

import io
import re
import tokenize

from tests.architecture.source import ROOT, Module, modules

_STOPS = re.compile(
    r"\banew\b|\bof before\b|\ba look (?:at|whether|for)\b"
    r"|\b(?:for|to|by|of) whom? (?:is|has|may|can|does|looks|needs|wants|asks|waits|reads|writes)\b"
)
_CODE_BLOCK = re.compile(r"^\s*```.*?^\s*```", re.DOTALL | re.MULTILINE)
_BEGINNINGS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


def stops(text: str) -> list[str]:
    """The words of a text that stop a reader."""
    return _STOPS.findall(" ".join(text.split()))


def _comments(module: Module) -> str:
    """The comments and docstrings of a module, and no text that a program prints."""
    lines, previous = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and previous in _BEGINNINGS):
            lines.append(token.string.lstrip("# "))
        if token.type not in {tokenize.NL, tokenize.COMMENT}:
            previous = token.type
    return " ".join(lines)


def test_comments_use_usual_words() -> None:
    # A migration is not changed once it is released, not in its comments either.
    code = modules("labeler_api", "labeler_ops", "user_gateway", "service_kit")
    written = [module for module in code if ".migrations.versions." not in module.name]
    assert [f"{module.where}: {word}" for module in written for word in stops(_comments(module))] == []


def test_pages_use_usual_words() -> None:
    pages = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    found = [(page.name, stops(_CODE_BLOCK.sub("", page.read_text()))) for page in pages]
    assert [(name, words) for name, words in found if words] == []


def test_a_word_that_stops_a_reader_is_found() -> None:
    text = "Made anew for who asks, after a look at uploads\nof before; a member who asks may look at it."
    assert stops(text) == ["anew", "for who asks", "a look at", "of before"]
