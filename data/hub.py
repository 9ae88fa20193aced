"""Rows of a dataset on the Hugging Face hub, or one sentence that says why there are none.

`datasets` tries five times with growing pauses before it admits that there is no network (25 seconds for one file).
A single short request finds that out first; without an answer only the local cache is asked. `HF_HUB_OFFLINE`,
`HF_ENDPOINT` and proxy variables mean what they mean everywhere. No code from a dataset is ever run.
"""

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from reasoning_grpo.data.files import Row
from reasoning_grpo.errors import DataError

_PROBE_SECONDS = 5.0


def rows(
    dataset_id: str,
    *,
    split: str,
    config: str | None = None,
    revision: str | None = None,
    local_name: str | None = None,
) -> Iterator[Row]:
    """Yield the rows of one split.

    Args:
        dataset_id: `org/name`.
        split: A split of the dataset; slices such as `train[:100]` are understood.
        config: Configuration (subset); None takes the dataset's only one.
        revision: Branch, tag or commit.
        local_name: Folder under `REASONING_GRPO_DATA` that could stand in; only for the message.

    Raises:
        DataError: The hub cannot be reached, or has no such dataset, configuration or split.
    """
    place = f"{dataset_id}{f' {config}' if config else ''}@{split}"
    table = _load(dataset_id, config, split, revision, place, local_name)
    for number, values in enumerate(table, start=1):
        yield Row(dict(values), f"hub `{place}`, row {number}")


def _load(
    dataset_id: str, config: str | None, split: str, revision: str | None, place: str, local_name: str | None
) -> Any:
    import datasets  # heavy: a second

    with _cache_only_without_network(datasets.config) as why_offline:
        try:
            return datasets.load_dataset(dataset_id, config, split=split, revision=revision)
        except Exception as error:  # an open set: the hub's client went from requests to httpx to httpx2
            reason = why_offline or _reason(error)
            is_wrong_name = isinstance(error, FileNotFoundError | ValueError | RuntimeError) and not why_offline
            remedy = _remedy(split, local_name, is_wrong_name=is_wrong_name)
            raise DataError(f"could not load `{place}` from the Hugging Face hub: {reason}; {remedy}") from error


@contextlib.contextmanager
def _cache_only_without_network(config: Any) -> Iterator[str]:
    """Switch `datasets` to its cache while the hub does not answer; yield the reason, "" with a network."""
    if config.HF_HUB_OFFLINE:
        yield "offline mode is on (`HF_HUB_OFFLINE`) and it is not in the local cache"
    elif is_reachable(config.HF_ENDPOINT):
        yield ""
    else:
        config.HF_HUB_OFFLINE = True
        try:
            yield f"{config.HF_ENDPOINT} does not answer and it is not in the local cache"
        finally:
            config.HF_HUB_OFFLINE = False


def is_reachable(url: str) -> bool:
    """Return whether anything answers at `url` in time, an error status included."""
    answered = threading.Event()

    def ask() -> None:
        # In a thread, because no timeout bounds the name lookup.
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS).close()
            except urllib.error.HTTPError as error:
                error.close()
            answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return answered.is_set()


def _reason(error: Exception) -> str:
    first_line = str(error).strip().splitlines()[:1]
    return first_line[0].rstrip(".") if first_line else type(error).__name__


def _remedy(split: str, local_name: str | None, *, is_wrong_name: bool) -> str:
    if is_wrong_name:
        return "check the id, the configuration (`org/name:config`) and the split"
    if local_name is None:
        return "connect, or name a local .jsonl, .csv or .parquet file instead"
    return f"connect, or set `REASONING_GRPO_DATA` to a folder that holds `{local_name}/{split}.jsonl`"
