"""What becomes of exceptions that no caller can be given: they are logged, and the rest goes on.

A listener, or a program that records spans, is called within a step. Whatever it raises, also a
``CancelledError`` or a test's failure, is its own fault and must not end the step. Since it never
waits, it cannot be passing on a cancellation of the task that it runs in.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import NoReturn

from .log import logger
from .printable import printable
from .secrets import Secrets


def log_fault(what: str, error: BaseException, secrets: Secrets) -> None:
    """Log an error with its traceback.

    The traceback is in the line's text, not in ``exc_info``: from there, a handler could tell what
    the error itself says, with the secrets that a library has put into it.
    """
    lines = secrets.hide("".join(traceback.format_exception(error))).splitlines()
    logger.error("%s\n%s", what, "\n".join(map(printable, lines)))


def log_fault_of_others(what: str, error: BaseException, secrets: Secrets) -> None:
    """Log what was raised within a step that nothing must stop, most likely by others' code.

    If it asks the process to end (``sys.exit()``, Ctrl-C), the event loop gets that after the step.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        asyncio.get_running_loop().call_soon(_raise, error)
    else:
        log_fault(what, error, secrets)


def _raise(error: BaseException) -> NoReturn:
    raise error
