"""What every command shares: the options, results on stdout, narration on stderr, exit codes."""

import functools
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.errors import (
    NodeError,
    NotFoundError,
    PeerUnreachableError,
    ProblemError,
    RefusedError,
    RefusedShipmentsError,
    errors_as_json,
    is_conflict,
)

if TYPE_CHECKING:
    from datetime import date

FAILURE, NOT_FOUND, REFUSED, CONFLICT, UNREACHABLE = 1, 3, 4, 5, 7

PAGE_WIDTH = 200
"""Columns of what goes to no terminal."""

GAP = "  "
"""Between two columns of a table."""

SHORT, LEAST = 20, 8
"""A table's column that takes so many of the terminal is not folded; others have so many at least."""

SHOWN = 20
"""Errors told to people; programs get all of them."""


@dataclass(slots=True)
class Output:
    """Where the home is, and how results are wanted."""

    home_name: str = "."
    as_json: bool = False

    @property
    def home(self) -> Path:
        """The node's home."""
        return Path(self.home_name)

    def result(self, value: Any, text: str | Callable[[], str] | None = None) -> None:
        """A result: JSON where wanted, else the text (or what makes it, if that is costly)."""
        if self.as_json or text is None:
            click.echo(json.dumps(value, ensure_ascii=False, indent=None if self.as_json else 2))
        else:
            click.echo(text if isinstance(text, str) else text())

    def note(self, text: str) -> None:
        """Narration; never mixed into results."""
        click.echo(text, err=True)

    def rows(
        self,
        value: Any,
        items: Sequence[Mapping[str, Any]],
        columns: Mapping[str, str],
        empty: str = "",
    ) -> None:
        """A result of many rows: JSON where wanted, else a table; `empty` says what to do next."""
        self.result(value, lambda: table(items, columns) if items else empty)


def page(output: Output, found: Mapping[str, Any], columns: Mapping[str, str], empty: str) -> None:
    """A page of rows, and how to go on where there may be more."""
    output.rows(found, found["items"], columns, empty)
    if found["next"]:
        output.note(f"There may be more; continue with --after {found['next']}")


def table(items: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Rows under headings, as wide as the terminal where long columns can be folded to that.

    Numbers, states and days stay whole: where those alone are too wide, so is the table.
    """
    cells = [["" if item[key] is None else str(item[key]) for key in columns] for item in items]
    rows = [list(columns.values()), *cells]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if terminal else PAGE_WIDTH
    plain = all(cell.isprintable() for row in cells for cell in row)
    whole = sum(widths) + len(GAP) * (len(widths) - 1) <= room
    if not plain or (not whole and _least(widths) <= room):
        return _folded(rows, widths, room, terminal=terminal)
    head, *lines = [
        GAP.join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([click.style(head, bold=True) if terminal else head, *lines])


def _width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else 0 if combining(c) else 1 for c in text)


def _least(widths: Sequence[int]) -> int:
    """How narrow a table can be without folding its short columns."""
    return sum((width if width <= SHORT else LEAST) + len(GAP) for width in widths) - len(GAP)


def _folded(
    rows: Sequence[Sequence[str]], widths: Sequence[int], room: int, *, terminal: bool
) -> str:
    """A table that is too wide, its long columns each within its share."""
    # Late, and only here: it takes as long to load as a short command, and half a millisecond a row.
    import io

    from rich.console import Console
    from rich.table import Table

    fits = _least(widths) <= room
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(rows[0], widths, strict=True):
        table.add_column(heading, overflow="fold", no_wrap=fits and width <= SHORT)
    for row in rows[1:]:
        table.add_row(*row)
    console = Console(
        file=io.StringIO(),
        width=None if terminal else PAGE_WIDTH,
        force_terminal=terminal,
        markup=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def command(**settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command whose function gets an `Output` first; ``--home`` and ``--json`` anywhere."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def call(home: str | None, as_json: bool, **arguments: Any) -> Any:
            _check_text(arguments)
            context = click.get_current_context()
            output = context.find_object(Output) or Output()
            output.home_name = home or output.home_name
            output.as_json = as_json or output.as_json
            context.obj = output
            return function(output, **arguments)

        home_option = click.option(
            "--home", type=click.Path(file_okay=False), help="The node's home [KPNODE_HOME, or .]"
        )
        json_option = click.option(
            "--json", "as_json", is_flag=True, help="Results as JSON on stdout."
        )
        made: click.Command = click.command(**settings)(home_option(json_option(call)))
        return made

    return decorate


def _check_text(arguments: dict[str, Any]) -> None:
    """Arguments that are no text in the terminal's encoding are a usage error."""
    for name, value in arguments.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not text.isprintable() and _has_surrogate(text):
                raise click.UsageError(f"{name}: not text in this terminal's encoding")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


@contextmanager
def finishing() -> Iterator[None]:
    """What is being recorded is finished and told of; Ctrl-C comes too late for it, and is told so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def too_late(*_: object) -> None:
        # By the system: the stream's own lock may be held by what this has come into.
        with suppress(OSError):
            os.write(2, b"\nit is being recorded, all or nothing: one moment\n")

    before = signal.signal(signal.SIGINT, too_late)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def nobody_reads() -> None:
    """What is still to be written on stdout has no place to go; the end must not stumble over it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(output: Output, error: NodeError) -> int:
    """Show an error and return the exit code."""
    errors = errors_as_json(error)
    several = len({item["index"] for item in errors}) > 1
    if output.as_json:
        try:
            click.echo(json.dumps({"errors": errors}, ensure_ascii=False))
        except OSError:
            nobody_reads()
    for item in errors[:SHOWN]:
        place = f"shipment {item['index']}" if several else None
        where = " ".join(str(part) for part in (place, item["number"], item["pointer"]) if part)
        rule = f" [{item['rule']}]" if item["rule"] else ""
        colon = f" {where}:" if where else ""
        output.note(f"error: {item['code']}:{colon} {item['detail']}{rule}")
    if len(errors) > SHOWN:
        output.note(f"… and {len(errors) - SHOWN} more; --json lists all")
    return exit_code(error, [str(item["code"]) for item in errors])


def exit_code(error: NodeError, codes: Sequence[str]) -> int:
    """The exit code of an error (architecture: command line)."""
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, PeerUnreachableError):
        return UNREACHABLE
    if isinstance(error, RefusedError | RefusedShipmentsError):
        return CONFLICT if is_conflict(codes) else REFUSED
    return REFUSED if isinstance(error, ProblemError) else FAILURE


def day(name: str, text: str) -> "date":
    """A day that an argument names.

    Raises:
        click.UsageError: It is none.
    """
    import re
    from datetime import date

    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{name}: expected YYYY-MM-DD, got {text!r}") from None


def month(name: str, text: str) -> "date":
    """The first day of a month that an argument names, ``YYYY-MM``.

    Raises:
        click.UsageError: It is none.
    """
    try:
        return day(name, f"{text}-01")
    except click.UsageError:
        raise click.UsageError(f"{name}: expected YYYY-MM, got {text!r}") from None


def progress(what: str, done: int, total: int) -> None:
    """Long work on a terminal: what is being done and how much of it, in a line that goes away."""
    if sys.stderr.isatty():
        told = f"{what} {100 * done // total} %" if done < total else ""
        click.echo(f"\r{told:30}\r", nl=False, err=True)


def read_file(path: str, limit: int) -> bytes:
    """A file, or standard input for ``-``; never more than `limit` + 1 bytes.

    Raises:
        NotFoundError: There is no such file.
        NodeError: ``unreadable``.
    """
    try:
        if path == "-":
            if sys.stdin is None:
                raise NodeError("standard input is closed", code="unreadable")
            return sys.stdin.buffer.read(limit + 1)
        with open(path, "rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}", code="unreadable") from None
