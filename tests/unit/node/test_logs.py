"""Log lines go where the program says, and never to its standard output by themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from mreza.node.logs import Log


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_without_structlog_configured_lines_go_to_logging(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log("mreza.test").bind(me="a")
    with caplog.at_level(logging.INFO):
        log.info("link_up", peer="b")
        log.debug("unheard")
        log.error("broken", exc_info=ValueError("why"))
    assert [record.name for record in caplog.records] == ["mreza.test", "mreza.test"]
    assert caplog.messages[0] == "event='link_up' me='a' peer='b'"
    assert "why" in caplog.messages[1]
    assert capsys.readouterr().out == ""


def test_what_the_program_configures_counts_even_for_loggers_made_before() -> None:
    log = Log("mreza.test", me="a")
    with structlog.testing.capture_logs() as lines:
        structlog.configure(processors=structlog.get_config()["processors"])
        log.warning("refused", code="no_certificate")
        log.bind(me="b").debug("seen")
    assert lines == [
        {"me": "a", "code": "no_certificate", "event": "refused", "log_level": "warning"},
        {"me": "b", "event": "seen", "log_level": "debug"},
    ]
