"""Work beside the main thread that nobody waits for when the process ends.

An executor's threads are joined at exit: a server that never answers, or a verifier that hangs, would then hold a
process that was told to stop. These threads are daemons.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_background(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Future[Result]:
    """Call the function in a thread of its own; the future has its result, or raises what it raised."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name=getattr(function, "__name__", "work"), daemon=True).start()
    return future
