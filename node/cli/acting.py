"""What commands that act on one certificate share: NUMBER, office, officer, and the answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from node.cli.output import Output, command, finishing

if TYPE_CHECKING:
    from node.office.act import Done

Act = Callable[..., "Done"]


def acting(**settings: Any) -> Callable[[Act], click.Command]:
    """A command whose function is given node, number, officer and its own options.

    The function returns what was done; that is printed, also if someone presses Ctrl-C meanwhile.
    """

    def decorate(function: Act) -> click.Command:
        def call(
            output: Output, number: str, office: str | None, officer: str | None, **own: Any
        ) -> None:
            from node.office.officer import Officer
            from node.wiring import open_node

            with finishing():
                with open_node(output.home) as node:
                    done = function(node, number, Officer(office, officer), **own)
                told = {
                    "number": done.number,
                    "doc_id": done.doc_id,
                    "to": done.to,
                    "state": done.state,
                }
                output.result(told, f"{done.number}  {done.state}\ndocument  {done.doc_id}")

        call.__doc__ = function.__doc__
        call.__name__ = function.__name__
        call.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        for option in (
            click.option("--officer", help="The officer who acts."),
            click.option("--office", help="The office that acts."),
            click.argument("number"),
        ):
            option(call)
        return command(**settings)(call)

    return decorate


def officer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--office`` and ``--officer``, for commands that act on something else."""
    function = click.option("--officer", help="The officer who acts.")(function)
    return click.option("--office", help="The office that acts.")(function)


def read_json(path: str, what: str) -> dict[str, Any]:
    """A JSON object from a file, or standard input for ``-``.

    Raises:
        RefusedError: ``not-json`` or ``schema-invalid``.
        NotFoundError: There is no such file.
    """
    from node import strict_json
    from node.cli.output import read_file
    from node.errors import refuse

    try:
        value = strict_json.loads(read_file(path, 1024 * 1024))
    except ValueError as error:
        raise refuse("KP-J-001", str(error)) from None
    if not isinstance(value, dict):
        raise refuse("KP-D-001", f"expected an object with {what}")
    return value
