"""A benchmark's folder: begun, gone on with, judged anew, and what each refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo import storage
from reasoning_grpo.cli import main
from reasoning_grpo.engine import decoding
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.backends import Ask, cut_at_stop
from reasoning_grpo.eval.backends.opening import ModelOptions, open_backend
from reasoning_grpo.eval.runs import load_run
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.models import load_tokenizer
from reasoning_grpo.rewards.compose import RewardTerm
from reasoning_grpo.rewards.fingerprint import GOLDEN, verifier_facts
from reasoning_grpo.schema import Completion, Outcome

DEMO_MODEL = Path(__file__).resolve().parent.parent / "reasoning_grpo" / "demo_model"
AGAIN = "`reasoning-grpo bench --resume {folder}` makes what is missing and writes it anew"


def bench(out: Path, *more: str, model: Path = DEMO_MODEL) -> list[str]:
    limits = ["--limit", "4", "--max-completion-tokens", "40"]
    return ["bench", "arithmetic", "--model", str(model), *limits, "--out", str(out), *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    assert main(bench(out)) == 0
    return next(out.iterdir())


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def complaint(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def change(path: Path, *keys: str, value: Any) -> None:
    record = json.loads(path.read_text())
    place = record
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(record))


def test_the_record_holds_what_was_asked_and_of_whom(finished: Path) -> None:
    run = load_run(finished)
    assert run.conditions["suite"] == "arithmetic"
    assert run.conditions["answer_form"] == "tags"
    assert run.conditions["sampling"] == {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": None}
    assert run.conditions["verifier"]["reference"] == "accuracy"
    assert run.facts["model_fingerprint"].startswith("sha256:")
    assert (run.facts["samples"], run.facts["dtype"], run.facts["licence"]) == (1, "float32", "MIT")
    assert run.facts["ended"] >= run.facts["started"]
    assert [attempt.sample for attempt in run.attempts] == [0] * 4
    assert run.prompts[run.problems[0].id] == run.problems[0].question + "\n"


def test_the_result_stands_alone(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    assert result["num_problems"] == 4
    assert result["schema_version"] == 2
    assert result["conditions"]["verifier"]["fingerprint"] == result["facts"]["verifier"]["fingerprint"]


def test_a_finished_run_is_left_as_it_is(folder: Path) -> None:
    before = [attempt.completion for attempt in load_run(folder).attempts]
    journal = (folder / "samples.jsonl").read_bytes()
    assert main(["bench", "--resume", str(folder)]) == 0
    assert (folder / "samples.jsonl").read_bytes() == journal
    assert [attempt.completion for attempt in load_run(folder).attempts] == before


def test_a_lost_sample_is_made_again_as_it_was(folder: Path) -> None:
    before = [attempt.completion for attempt in load_run(folder).attempts]
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(lines[1:]))
    assert main(["bench", "--resume", str(folder)]) == 0
    assert [attempt.completion for attempt in load_run(folder).attempts] == before


@pytest.mark.parametrize(
    ("change_lines", "words"),
    [
        (lambda lines: lines[1:], "has 3 of 4 attempts in 3 rows; "),
        (lambda lines: [*lines, lines[0]], "has 4 of 4 attempts in 5 rows; "),
    ],
)
def test_attempts_that_were_lost_or_doubled_are_no_other_accuracy(
    change_lines: Callable[[list[str]], list[str]], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_run(folder)
    path = folder / "attempts.jsonl"
    path.write_text("".join(change_lines(path.read_text().splitlines(keepends=True))))
    assert f"{words}{AGAIN.format(folder=folder)}" in complaint(capsys, "report", str(folder))
    assert main(["bench", "--resume", str(folder)]) == 0
    assert load_run(folder).attempts == before.attempts


def test_a_run_that_goes_on_counts_what_it_had(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(rows[1:]))
    tokens = [a.completion.num_tokens or 0 for a in load_run(folder).attempts]
    assert main(["bench", "--resume", str(folder)]) == 0
    said = capsys.readouterr().err
    assert "bench arithmetic: 4/4, " in said
    assert f"tokens each, about {sum(tokens)} in all" in said


def test_a_suite_that_fixes_its_prompt_is_asked_in_it_though_the_model_was_trained_on_another(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text('title = "x"\nprompt = "plain"\n[data]\nname = "arithmetic"\nlimit = 1\n')
    args = ["--max-completion-tokens", "4", "--out", str(tmp_path / "out")]
    assert main(["bench", str(suite), "--model", str(DEMO_MODEL), *args]) == 0
    assert load_run(next((tmp_path / "out").iterdir())).conditions["prompt"]["style"] == "plain"


def test_a_model_that_has_moved_is_the_same_and_one_that_has_changed_is_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(DEMO_MODEL, moved)
    assert main(["bench", "--resume", str(folder), "--model", str(moved)]) == 0
    change(moved / "generation_config.json", "eos_token_id", value=5)
    error = complaint(capsys, "bench", "--resume", str(folder), "--model", str(moved))
    assert "is not the model the run in" in error
    assert "name that one with `--model`, or start a new run" in error


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("problems.jsonl", "problems.jsonl` is not what the run began with"),
        ("samples.jsonl", "that is not of this run: its model, prompt or sampling is another"),
    ],
)
def test_a_file_from_another_run_is_refused(
    file: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (folder / file).read_text().splitlines()
    row = json.loads(lines[0])
    row["answer" if file == "problems.jsonl" else "key"] = "another"
    (folder / file).write_text("\n".join([json.dumps(row), *lines[1:]]) + "\n")
    assert words in complaint(capsys, "bench", "--resume", str(folder))


@pytest.mark.parametrize(
    ("file", "content", "remedy"),
    [
        ("run.json", b'{"schema_version": 2, "term": "acc', "put it back from a copy, or start a new benchmark"),
        ("run.json", b"\x97\x00", "put it back from a copy, or start a new benchmark"),
        ("run.json", b'{"schema_version": 2}', "put it back from a copy, or start a new benchmark"),
        ("problems.jsonl", None, "put it back from a copy, or start a new benchmark"),
        ("problems.jsonl", b'{"id": "a"}\n', "put it back from a copy, or start a new benchmark"),
        ("attempts.jsonl", b"\x97\x00", AGAIN),
        ("attempts.jsonl", b'{"problem_id": "arith', AGAIN),
        ("attempts.jsonl", None, AGAIN),
    ],
)
def test_a_damaged_file_of_a_run_is_named_with_the_way_out(
    file: str, content: bytes | None, remedy: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    error = complaint(capsys, "report", str(folder))
    assert error.endswith(remedy.format(folder=folder))


def test_conditions_that_are_no_table_are_damaged_to_whoever_reads_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder / "run.json", "conditions", value=5)
    for args in (["report"], ["bench", "--resume"], ["regrade", "--verifier", "accuracy"]):
        assert "is damaged: it has no `conditions`; put it back" in complaint(capsys, *args, str(folder))


def test_a_number_of_samples_that_is_no_number_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / "run.json", "facts", "samples", value="four")
    for args in (["report"], ["bench", "--resume"]):
        assert "is damaged: its `samples` are 'four'; put it back" in complaint(capsys, *args, str(folder))


def test_a_damaged_regraded_folder_asks_for_another_regrade(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["regrade", str(folder), "--convention", "last-number"]) == 0
    made = folder / "regraded-last-number"
    (made / "attempts.jsonl").unlink()
    assert complaint(capsys, "report", str(made)).endswith(f"is not finished; regrade `{folder}` again")


def test_regrading_names_the_problem_that_is_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (folder / "problems.jsonl").read_text().splitlines(keepends=True)
    (folder / "problems.jsonl").write_text("".join(rows[1:]))
    error = complaint(capsys, "regrade", str(folder), "--verifier", "accuracy")
    assert "has a sample of 'arithmetic/test/0', which `problems.jsonl` does not hold; put that file" in error


def test_another_prompt_than_at_the_beginning_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / "run.json", "conditions", "prompt", "style", value="qa-boxed")
    assert "is not what it was when the run" in complaint(capsys, "bench", "--resume", str(folder))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--samples", "0"], "`--samples` is 0 and the run was asked for 1"),
        (["--samples", "2"], "2 copies of one greedy answer"),
        (["--seed", "1"], "so `--seed` cannot be given with `--resume`"),
        (["--verifier", "qwen"], "so `--verifier` cannot be given with `--resume`"),
        (["--limit", "9"], "so `--limit` cannot be given with `--resume`"),
        (["--out", "elsewhere"], "so `--out` cannot be given with `--resume`"),
    ],
)
def test_what_a_run_was_asked_cannot_be_changed(
    args: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "run.json").read_bytes()
    assert words in complaint(capsys, "bench", "--resume", str(folder), *args)
    assert (folder / "run.json").read_bytes() == before
    assert (folder / "attempts.jsonl").exists()


@pytest.mark.parametrize("args", [["--top-p", "0.9"], ["--top-k", "5"], ["--min-p", "0.1", "--temperature", "0"]])
def test_what_shapes_a_draw_is_refused_where_nothing_is_drawn(
    args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = complaint(capsys, *bench(tmp_path / "out", *args))
    assert f"`{args[0]}` means nothing at temperature 0, where the likeliest token is taken; leave it out" in error


def test_a_tokenizer_is_refused_where_the_server_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = ["--backend", "openai", "--base-url", "http://127.0.0.1:9/v1", "--tokenizer", str(DEMO_MODEL)]
    error = complaint(capsys, *bench(tmp_path / "out", *server))
    assert (
        "`--tokenizer` means nothing to `--endpoint chat`, where the server renders the prompt; leave it out" in error
    )


def test_an_option_the_backend_would_not_read_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = complaint(capsys, *bench(tmp_path / "out", "--concurrency", "3"))
    assert "`--concurrency` means nothing to the backend `transformers`, only to `openai`" in error
    assert "`--deadline-seconds` means nothing" in complaint(
        capsys, "bench", "--resume", str(folder), "--deadline-seconds", "9"
    )


def test_a_newer_record_asks_for_an_update(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / "run.json", "schema_version", value=3)
    for args in (["bench", "--resume", str(folder)], ["regrade", str(folder), "--verifier", "accuracy"]):
        assert "has schema version 3, this reads 2; update reasoning-grpo" in complaint(capsys, *args)


@pytest.mark.parametrize("place", ["file", "file/below", "link"])
def test_a_place_where_no_folder_can_be_made_is_told_before_the_model_is_loaded(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    error = complaint(capsys, *bench(tmp_path / place, model=tmp_path / "no-model"))
    blocking = tmp_path / place.partition("/")[0]
    assert error.endswith(f"`{blocking}` is no folder; name another one with `--out`")


@pytest.mark.parametrize("verb", [["bench", "--resume"], ["regrade", "--verifier", "accuracy"]])
def test_a_folder_of_something_else_is_named(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is no folder of a benchmark" in complaint(capsys, *verb, str(tmp_path / "none"))


def test_one_process_works_in_a_folder_at_a_time(folder: Path) -> None:
    with storage.locked(folder):
        command = [sys.executable, "-m", "reasoning_grpo", "bench", "--resume", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another process is working in" in done.stderr


@pytest.fixture
def verifiers(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mine.py"
    path.write_text(
        "def always(completion, problem):\n    return True\n\n\n"
        "def breaks(completion, problem):\n    raise KeyError('x')\n\n\n"
        "def abstains(completion, problem):\n"
        "    from reasoning_grpo.schema import Outcome, Verdict\n"
        "    return Verdict(score=None, outcome=Outcome.UNGRADABLE)\n"
    )
    yield path


def test_a_verifier_that_raises_is_named_and_costs_no_sample(
    verifiers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    error = complaint(capsys, *bench(out, "--verifier", f"{verifiers}:breaks"))
    folder = next(out.iterdir())
    assert f"verifier '{verifiers}:breaks' raised KeyError: 'x'" in error
    assert re.search(
        rf"[1-4] of 4 samples are kept; `reasoning-grpo bench --resume {re.escape(str(folder))}` goes on", error
    )
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "problems.jsonl", "run.json", "samples.jsonl"]


def test_a_mended_verifier_judges_what_the_broken_one_left(verifiers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(bench(out, "--verifier", f"{verifiers}:breaks")) == 2
    folder = next(out.iterdir())
    kept = (folder / "samples.jsonl").read_text()
    verifiers.write_text("def breaks(completion, problem):\n    return True\n")
    command = [sys.executable, "-m", "reasoning_grpo", "bench", "--resume", str(folder)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (folder / "samples.jsonl").read_text().startswith(kept)
    assert [attempt.verdicts["accuracy"].passed for attempt in load_run(folder).attempts] == [True] * 4


def test_golds_that_cannot_be_graded_are_no_zero(
    verifiers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    error = complaint(capsys, *bench(out, "--verifier", f"{verifiers}:abstains"))
    assert "no gold of `arithmetic` can be graded by" in error
    result = json.loads(next(out.rglob("result.json")).read_text())
    assert (result["accuracy"], result["outcomes"]["ungradable"]) == (None, 4)


def test_a_model_that_repeats_for_ever_is_cut_at_the_limit_and_said_so(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = bench(tmp_path / "out", "--prompt", "plain", model=tiny_model)  # random weights find no end
    assert main(args) == 0
    assert "cut off:   4 of 4 answers reached the limit" in capsys.readouterr().out
    run = load_run(next((tmp_path / "out").iterdir()))
    assert [(a.completion.num_tokens, a.completion.truncated) for a in run.attempts] == [(40, True)] * 4


def test_regrading_is_a_run_of_its_own_and_leaves_the_first(
    folder: Path, verifiers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "attempts.jsonl").read_bytes()
    assert main(["regrade", str(folder), "--verifier", f"{verifiers}:always"]) == 0
    assert "4 of 4 right" in capsys.readouterr().out
    target = next(path for path in folder.iterdir() if path.name.startswith("regraded-"))
    again = load_run(target)
    assert [a.verdicts["accuracy"].outcome for a in again.attempts] == [Outcome.PASS] * 4
    assert [a.completion for a in again.attempts] == [a.completion for a in load_run(folder).attempts]
    assert again.conditions["verifier"]["fingerprint"] != load_run(folder).conditions["verifier"]["fingerprint"]
    assert {**again.conditions, "verifier": None} == {**load_run(folder).conditions, "verifier": None}
    assert (folder / "attempts.jsonl").read_bytes() == before


def test_regrading_with_a_convention_is_called_after_it(folder: Path) -> None:
    assert main(["regrade", str(folder), "--convention", "last-number"]) == 0
    assert load_run(folder / "regraded-last-number").conditions["verifier"]["reference"] == "last_number"


def test_regrading_an_unfinished_run_says_how_to_finish_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(lines[:3]))
    error = complaint(capsys, "regrade", str(folder), "--verifier", "accuracy")
    assert f"has 3 of 4 samples; make the others first with `reasoning-grpo bench --resume {folder}`" in error


def test_regrading_takes_no_sample_of_another_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # one sample of four is lost, and another stands twice under two keys: four rows all the same
    path = folder / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], json.dumps(json.loads(lines[0]) | {"key": "another"}) + "\n"]))
    assert "has 4 samples under 3 numbers" in complaint(capsys, "regrade", str(folder), "--verifier", "accuracy")


def test_a_verifier_that_raises_leaves_no_regraded_folder(
    folder: Path, verifiers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "raised KeyError" in complaint(capsys, "regrade", str(folder), "--verifier", f"{verifiers}:breaks")
    assert not [path for path in folder.iterdir() if "regraded" in path.name]


def test_what_regrade_made_is_no_run_to_go_on_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["regrade", str(folder), "--convention", "last-number"]) == 0
    made = str(folder / "regraded-last-number")
    for args in (["bench", "--resume", made], ["regrade", made, "--verifier", "accuracy"]):
        assert f"was made by `regrade` and has no samples of its own; name `{folder}`" in complaint(capsys, *args)


@pytest.mark.parametrize(("part", "key"), [("conditions", "sampling"), ("facts", "seed")])
def test_a_record_with_a_hole_is_damaged(part: str, key: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((folder / "run.json").read_text())
    del record[part][key]
    (folder / "run.json").write_text(json.dumps(record))
    assert f"is damaged: its {part} have no `{key}`" in complaint(capsys, "bench", "--resume", str(folder))


def test_more_completions_than_a_batch_are_all_graded_and_counted() -> None:
    from reasoning_grpo.eval.harness import Answered, Grader
    from reasoning_grpo.rewards.compose import RewardSpec
    from reasoning_grpo.schema import Problem

    grader = Grader(RewardSpec(terms=(RewardTerm(name="accuracy", verifier="accuracy"),)))
    for number in range(200):
        problem = Problem(id=str(number), question="", answer=str(number))
        grader.add(Answered(problem=problem, sample=0, completion=Completion(text=f"\\boxed{{{number // 2 * 2}}}")))
    attempts = grader.finish()
    assert {attempt.problem_id for attempt in attempts} == {str(number) for number in range(200)}
    assert grader.num_passed == 100  # the even ones


def test_a_model_from_the_hub_is_named_by_its_commit(tiny_model: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny_model, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    command = [sys.executable, "-m", "reasoning_grpo", *bench(tmp_path / "out", "--prompt", "plain")]
    command[command.index(str(DEMO_MODEL))] = "someone/tiny"
    offline = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = load_run(next((tmp_path / "out").iterdir())).facts
    assert facts["model_fingerprint"] == f"hub:someone/tiny@{commit}"


@pytest.mark.parametrize("args", [[], ["--verifier", "accuracy", "--convention", "qwen"]])
def test_regrading_needs_one_verifier(args: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "either `--verifier REF` or `--convention NAME`" in complaint(capsys, "regrade", str(folder), *args)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperature": -1.0}, "`--temperature` is -1.0; it must be 0 (greedy) or more"),
        ({"temperature": float("nan")}, "`--temperature` is nan"),
        ({"top_p": 0.0}, "`--top-p` is 0.0"),
        ({"top_k": -1}, "`--top-k` is -1"),
        ({"min_p": 2.0}, "`--min-p` is 2.0"),
        ({"samples": 4}, "`--samples 4` at temperature 0 would be 4 copies of one greedy answer"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Settings(**changes)
    assert words in str(caught.value)


def test_a_stop_text_ends_an_answer_where_it_first_stands() -> None:
    found = Completion(text="so 4\nQuestion: 5\nUser:", num_tokens=9, truncated=True)
    assert cut_at_stop(found, ["User:", "\nQuestion:"]) == Completion(text="so 4", num_tokens=9, truncated=False)
    assert cut_at_stop(found, ["Answer:"]) == found


def test_a_stop_text_that_the_form_of_an_answer_needs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(
        'title = "x"\nanswer_form = "tags"\nstop = ["</answer>"]\n[data]\nname = "arithmetic"\nlimit = 1\n'
    )
    error = complaint(capsys, "bench", str(suite), "--model", str(DEMO_MODEL), "--out", str(tmp_path / "out"))
    assert "`stop` holds '</answer>', which is cut off with all that follows" in error
    assert not (tmp_path / "out").exists()


def test_an_answer_is_written_up_to_its_stop_text_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ModelOptions(model=str(DEMO_MODEL), dtype="float32")

    def answer(*stop: str) -> Completion:
        settings = Settings(max_completion_tokens=40, stop=stop)
        opened = open_backend(options, settings, prompt=None, suite_prompt=None, form=None)
        prompt = opened.backend.render("Hugo owns 83 books. He loses 8. How many books does Hugo have now?")
        return next(iter(opened.backend.complete([Ask(prompt=prompt, number=0)])))[1]

    written: list[int] = []
    choose = decoding._Batch.choose

    def spy(batch: Any) -> list[int]:
        tokens = choose(batch)
        written.extend(tokens)
        return tokens

    monkeypatch.setattr(decoding._Batch, "choose", spy)
    whole = answer()
    written.clear()
    stopped = answer("</think>")
    # up to the tag stands "<think>…" and the tag itself, then a line with the answer and the end token
    tokenizer = load_tokenizer(str(DEMO_MODEL))
    expected = len(tokenizer(whole.text.partition("<answer>")[0].rstrip(), add_special_tokens=False)["input_ids"])
    assert stopped.text + "</think>" == whole.text.partition("<answer>")[0].rstrip()
    assert (stopped.num_tokens, len(written), stopped.truncated) == (expected, expected, False)
    assert whole.num_tokens is not None
    assert expected < whole.num_tokens


def test_the_shipped_verifier_agrees_with_its_golden_set() -> None:
    facts = verifier_facts(RewardTerm(name="a", verifier="accuracy"))
    assert facts["self_test"] == {"num_agreeing": len(GOLDEN), "num_rows": len(GOLDEN)}


def test_a_verifiers_fingerprint_follows_its_options_and_its_source_and_not_its_place(tmp_path: Path) -> None:
    source = "def mine(completion, problem, *, strict=False):\n    return True\n"
    for name, text in (("a", source), ("b", source), ("c", source + "# changed\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(text)

    def fingerprint(place: str, **options: Any) -> str:
        term = RewardTerm(name="t", verifier=f"{tmp_path / place}/mine.py:mine", options=options)
        return str(verifier_facts(term)["fingerprint"])

    assert fingerprint("a") == fingerprint("b")
    assert len({fingerprint("a"), fingerprint("c"), fingerprint("a", strict=True)}) == 3
