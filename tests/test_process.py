"""How threads wait is chosen by how busy the machine is, unless somebody has said."""

import os

import pytest

from reasoning_grpo.commands.process import SHORT_SPIN, SLEEP_AT_ONCE, set_waiting


@pytest.mark.parametrize(("load", "expected"), [(0.9, SHORT_SPIN), (1.0, SLEEP_AT_ONCE)])
def test_threads_spin_shortly_where_less_than_half_of_the_cores_is_busy(
    load: float, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    set_waiting()
    assert environment == expected


def test_how_threads_wait_is_left_to_whoever_has_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OMP_WAIT_POLICY": "ACTIVE"}
    monkeypatch.setattr(os, "environ", environment)
    set_waiting()
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE"}
