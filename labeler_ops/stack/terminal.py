"""What the person sees: progress while the stack starts, and a short table when it runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from labeler_ops.stack.accounts import DemoAccount


class Terminal:
    """Writes to the terminal; plain lines where there is none."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show that something is going on, and how long it took."""
        started = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(text):
                yield
        else:
            self.console.print(f"{text} ...")
            yield
        self.console.print(f"[green]done[/] {text} ({time.monotonic() - started:.1f} s)")

    def line(self, text: str) -> None:
        """Say what is going on."""
        self.console.print(text)

    def notice(self, text: str) -> None:
        """Say something worth knowing that stops nothing."""
        self.console.print(f"[yellow]note[/] {text}")

    def failure(self, text: str) -> None:
        """Say why the stack stops."""
        self.console.print("[red]error[/]", end=" ")
        self.console.print(text, markup=False)

    def summary(
        self, places: Sequence[tuple[str, str]], accounts: Sequence[DemoAccount], data: Path, logs: Path
    ) -> None:
        """Show the table of a running stack."""
        rows = [*places]
        for number, account in enumerate(accounts):
            rows.append(("accounts (demo only)" if number == 0 else "", f"{account.email} / {account.password}"))
        rows += [("logs", str(logs)), ("data", str(data))]
        # Not a table of Rich's: it would cut or fold what people copy.
        width = max(len(name) for name, _ in rows) + 2
        self.console.print()
        for name, value in rows:
            self.console.print(f"[bold]{name:<{width}}[/]", end="")
            self.console.print(value, markup=False)
        self.console.print("\nCtrl-C stops everything.")
