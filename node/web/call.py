"""A request of the API once it is checked, and what it is answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from node.authority import OwnAuthority
from node.office.officer import Officer
from node.progress import Progress, untold


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was checked against the description.

    Attributes:
        path, query: Parameters by name.
        body: The JSON of the request without office and officer; else its bytes.
        officer: Who acts.
        progress: Told how far long work has come.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    officer: Officer = field(default_factory=Officer)
    progress: Progress = untold


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: JSON, or text or bytes of their own media type."""

    body: Any
    status: int = 200
    media: str = "application/json"
    etag: str = ""


class ApiError(Exception):
    """A problem of the API with a status of its own; codes are stable."""

    def __init__(self, status: int, code: str, detail: str, errors: Any = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.errors = status, code, errors


TEXT = "text/plain"

Handler = Callable[[OwnAuthority, Call], Answer]
