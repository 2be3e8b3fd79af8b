"""Where a node's log lines go: wherever the program has told structlog, else to `logging`.

Left alone, structlog prints to standard output, which belongs to the program; and configuring it is
the program's business, too. So each line looks anew whether that has happened.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

_PLAIN = (
    structlog.stdlib.filter_by_level,
    structlog.processors.format_exc_info,
    structlog.processors.KeyValueRenderer(key_order=["event"]),
)


class Log:
    """A logger with values that every line of it carries."""

    def __init__(self, name: str, **values: Any) -> None:
        self._name = name
        self._values = values

    def bind(self, **values: Any) -> Log:
        """The same with more values."""
        return Log(self._name, **{**self._values, **values})

    def debug(self, event: str, **fields: Any) -> None:
        self._say("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._say("error", event, fields)

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if structlog.is_configured():
            logger = structlog.get_logger(self._name)
        else:
            logger = structlog.wrap_logger(
                logging.getLogger(self._name),
                processors=_PLAIN,
                wrapper_class=structlog.stdlib.BoundLogger,
            )
        getattr(logger, level)(event, **{**self._values, **fields})
