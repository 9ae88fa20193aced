"""The journal of a benchmark: what half a row costs, and that no kill loses, doubles or changes a sample."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.cli import main
from reasoning_grpo.errors import DataError
from reasoning_grpo.eval.fingerprints import folder_fingerprint, sample_key
from reasoning_grpo.eval.journal import Journal, Sample, read_journal
from reasoning_grpo.eval.runs import load_run
from reasoning_grpo.schema import Completion

DEMO_MODEL = Path(__file__).resolve().parent.parent / "reasoning_grpo" / "demo_model"


def sample(number: int) -> Sample:
    completion = Completion(text=f"answer {number} \ud800", num_tokens=3, truncated=number == 1)
    return Sample(key=f"k{number}", problem_id=f"p{number}", sample=0, completion=completion, seconds=0.5)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "samples.jsonl"
    with Journal(path) as open_journal:
        for number in range(3):
            open_journal.add(sample(number))
    return path


def test_what_is_written_is_read_back(journal: Path) -> None:
    samples, size = read_journal(journal)
    assert list(samples.values()) == [sample(number) for number in range(3)]
    assert size == journal.stat().st_size


@pytest.mark.parametrize("tail", ['{"key": "k3", "pro', '{"key": "k3"}\n', "\0\0\0\0", '{"key": "k3"}'])
def test_half_a_row_at_the_end_is_dropped_with_a_warning(
    tail: str, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole + tail.encode())
    with Journal(journal) as again:
        assert len(again.samples) == 3
        again.add(sample(3))
    assert "ends in half a row (line 4)" in caplog.text
    assert len(read_journal(journal)[0]) == 4
    assert journal.read_bytes().startswith(whole)


def test_half_a_row_in_the_middle_is_an_error_with_its_place(journal: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0] + lines[1][:20] + "\n" + lines[2])
    with pytest.raises(DataError, match=r"samples\.jsonl`, line 2: this is no sample of a benchmark"):
        read_journal(journal)


def test_a_sample_that_is_there_twice_is_an_error_with_its_place(journal: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines) + lines[0])
    with pytest.raises(DataError, match=r"line 4: problem 'p0' has its sample 0 a second time"):
        read_journal(journal)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "other"},
        {"model": "sha256:2"},
        {"identity": {"temperature": 1.0, "seed": 0}},
        {"identity": {"temperature": 0.5, "seed": 1}},
        {"number": 1},
        {"sample": 1},
    ],
)
def test_a_key_changes_with_all_a_sample_depends_on(change: dict[str, Any]) -> None:
    asked = {"prompt": "p", "model": "sha256:1", "identity": {"temperature": 0.5, "seed": 0}, "number": 0, "sample": 0}

    def key(prompt: str, model: str, identity: dict[str, Any], number: int, sample: int) -> str:
        return sample_key(prompt, model, identity, number=number, sample=sample)

    assert key(**asked) != key(**{**asked, **change})  # type: ignore[arg-type]


def test_a_models_fingerprint_follows_its_weights_and_not_its_notes(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    first = folder_fingerprint(tmp_path)
    (tmp_path / "prompt_style.json").write_text("{}")
    (tmp_path / "heldout.json").write_text("{}")
    assert folder_fingerprint(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"Weights")  # the same size
    assert folder_fingerprint(tmp_path) != first


def test_adapters_are_told_apart_by_the_model_below_them(tmp_path: Path) -> None:
    base, adapters = tmp_path / "base", tmp_path / "adapters"
    base.mkdir()
    adapters.mkdir()
    (adapters / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    (base / "model.safetensors").write_bytes(b"a")
    first = folder_fingerprint(adapters)
    (base / "model.safetensors").write_bytes(b"b")
    assert folder_fingerprint(adapters) != first


def test_adapters_that_name_themselves_as_the_model_below_them_have_a_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path)}))
    assert folder_fingerprint(tmp_path).startswith("sha256:")


def test_adapters_on_a_model_of_the_hub_follow_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/tiny"}))
    found = []
    for commit in ("1a", "2b"):
        place = f"/cache/snapshots/{commit}/config.json"
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, place=place, **__: place)
        found.append(folder_fingerprint(tmp_path))
    assert found[0] != found[1]


def test_adapters_whose_model_is_gone_have_a_fingerprint_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/no/such/folder"}))
    assert folder_fingerprint(tmp_path).startswith("sha256:")


def bench(out: Path, *more: str) -> list[str]:
    asked = ["--limit", "30", "--temperature", "1", "--max-completion-tokens", "48", "--batch-size", "2"]
    return ["bench", "arithmetic", "--model", str(DEMO_MODEL), *asked, "--out", str(out), *more]


def completions(folder: Path) -> dict[tuple[str, int], Completion]:
    return {(attempt.problem_id, attempt.sample): attempt.completion for attempt in load_run(folder).attempts}


def rows(folder: Path) -> list[str]:
    path = folder / "samples.jsonl"
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []


def test_more_samples_keep_the_first_and_ask_only_for_the_others(tmp_path: Path) -> None:
    assert main(bench(tmp_path / "grown", "--samples", "2")) == 0
    folder = next((tmp_path / "grown").iterdir())
    first = rows(folder)
    assert main(["bench", "--resume", str(folder), "--samples", "4"]) == 0
    assert rows(folder)[: len(first)] == first
    assert len(rows(folder)) == 30 * 4
    assert main(bench(tmp_path / "whole", "--samples", "4")) == 0
    assert completions(folder) == completions(next((tmp_path / "whole").iterdir()))


def kill_when(command: list[str], out: Path, num_rows: int) -> Path:
    """Start a benchmark and kill it when its journal has that many rows; return its folder."""
    process = subprocess.Popen([sys.executable, "-m", "reasoning_grpo", *command], stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        folders = list(out.iterdir()) if out.exists() else []
        if folders and len(rows(folders[0])) >= num_rows:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return next(out.iterdir())


@pytest.mark.slow
def test_killed_at_random_moments_it_gives_the_run_that_was_left_alone(tmp_path: Path) -> None:
    moments = sorted(random.Random(20).sample(range(1, 85), 4))
    folder = kill_when(bench(tmp_path / "killed", "--samples", "3"), tmp_path / "killed", moments[0])
    kept = rows(folder)
    for moment in moments[1:]:
        kill_when(["bench", "--resume", str(folder)], tmp_path / "killed", moment)
        assert rows(folder)[: len(kept)] == kept
        kept = rows(folder)
        assert not (folder / "attempts.jsonl").exists()
    assert main(["bench", "--resume", str(folder)]) == 0
    assert main(bench(tmp_path / "whole", "--samples", "3")) == 0
    assert len(rows(folder)) == 90
    assert len({json.loads(row)["key"] for row in rows(folder)}) == 90
    assert completions(folder) == completions(next((tmp_path / "whole").iterdir()))
