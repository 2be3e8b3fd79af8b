"""Logs of `mreza up`: on standard error, for people on a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from mreza.cli.problems import UsageProblem

FORMATS = ("human", "json")
LEVELS = ("debug", "info", "warning", "error")


def set_up_logs(form: str | None, level: str, *, out: TextIO | None = None) -> None:
    """Send structlog's events and the standard library's records to one place in one form.

    Raises:
        UsageProblem: the format or level does not exist.
    """
    out = sys.stderr if out is None else out
    if form is None:
        form = "human" if out.isatty() else "json"
    if form not in FORMATS:
        raise UsageProblem(f"--log-format {form!r} does not exist; use {' or '.join(FORMATS)}")
    if level not in LEVELS:
        raise UsageProblem(f"--log-level {level!r} does not exist; use one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="iso" if form == "json" else "%H:%M:%S.%f", utc=form == "json"
        ),
    ]
    if form == "json":
        render: list[Any] = [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=24)]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # asyncio and libraries: warnings are enough, whatever our own level.
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
