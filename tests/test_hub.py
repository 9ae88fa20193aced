"""The hub, without a network: `datasets.load_dataset` is a fake, the rows are written by hand in the hub's schema."""

import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.data import DataSource, hub, load_problems
from reasoning_grpo.data.hendrycks_math import SUBJECTS, last_boxed
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem

datasets = pytest.importorskip("datasets")

# (dataset, config, split) -> rows
Tables = dict[tuple[str, str | None, str], list[dict[str, Any]]]

GSM8K_ROW = {
    "question": "A shop sells 30 crates of 40 eggs. How many eggs is that?",
    "answer": "It sells 30*40=<<30*40=1200>>1200 eggs.\n#### 1,200",
}
MATH_ROW = {
    "problem": "Solve $2x = 1$.",
    "level": "Level 5",
    "type": "Algebra",
    "solution": "First $\\boxed{x}$ is isolated, so $x = \\boxed{\\frac{1}{2}}$.",
}
MATH500_ROW = {
    "problem": "Solve $2x = 1$.",
    "solution": "$x = \\boxed{\\frac{1}{2}}$.",
    "answer": "\\frac{1}{2}",
    "subject": "Algebra",
    "level": 5,
    "unique_id": "test/algebra/1.json",
}


@pytest.fixture(autouse=True)
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REASONING_GRPO_DATA", raising=False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)


def _serve(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> list[dict[str, Any]]:
    """Make `load_dataset` answer from `tables`; return the list that its calls are noted in."""
    calls: list[dict[str, Any]] = []

    def load_dataset(path: str, name: str | None = None, **options: Any) -> Any:
        calls.append({"path": path, "name": name, **options})
        return datasets.Dataset.from_list(tables[(path, name, options["split"])])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "is_reachable", lambda url: True)
    return calls


def _fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load_dataset(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "is_reachable", lambda url: True)


def test_a_gsm8k_gold_is_what_follows_the_marks_without_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, {("openai/gsm8k", "main", "test"): [GSM8K_ROW]})
    loaded = load_problems(DataSource(name="gsm8k", split="test"))
    assert loaded.origin == "hub openai/gsm8k main@test"
    assert loaded.problems == (
        Problem(
            id="gsm8k/test/0",
            question=GSM8K_ROW["question"],
            answer="1200",
            source="gsm8k",
            meta={"solution": GSM8K_ROW["answer"]},
        ),
    )


def test_a_gsm8k_row_without_marks_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, {("openai/gsm8k", "main", "train"): [{"question": "q", "answer": "1200"}]})
    with pytest.raises(DataError, match="`openai/gsm8k main@train`, row 1 has no `####`"):
        load_problems(DataSource(name="gsm8k"))


def test_math_reads_seven_subjects_and_the_last_box(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: Tables = {("EleutherAI/hendrycks_math", subject, "train"): [MATH_ROW] for subject in SUBJECTS}
    _serve(monkeypatch, tables)
    loaded = load_problems(DataSource(name="math"))
    assert [problem.id for problem in loaded.problems] == [f"math/train/{subject}/0" for subject in SUBJECTS]
    first = loaded.problems[0]
    assert (first.question, first.answer, first.source) == ("Solve $2x = 1$.", "\\frac{1}{2}", "math")
    assert first.meta == {"solution": MATH_ROW["solution"], "subject": "Algebra", "level": 5}
    assert loaded.origin == "hub EleutherAI/hendrycks_math@train"


def test_a_math_row_with_an_empty_box_is_dropped_and_an_unknown_level_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: Tables = {("EleutherAI/hendrycks_math", subject, "train"): [MATH_ROW] for subject in SUBJECTS}
    tables["EleutherAI/hendrycks_math", "algebra", "train"] = [
        {**MATH_ROW, "solution": "so there are $\\boxed{}$ primes"},
        {**MATH_ROW, "level": "Level ?"},
    ]
    _serve(monkeypatch, tables)
    loaded = load_problems(DataSource(name="math"))
    assert (len(loaded.problems), loaded.num_dropped_empty) == (7, 1)
    assert (loaded.problems[0].id, "level" in loaded.problems[0].meta) == ("math/train/algebra/1", False)


def test_olympiadbench_writes_several_answers_with_commas_and_names_the_subject(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {
        "id": 1664,
        "question": "q",
        "final_answer": ["$69$", "$84$"],
        "subfield": "Algebra",
        "answer_type": "Numerical",
    }
    _serve(monkeypatch, {("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train"): [row]})
    problem = load_problems(DataSource(name="olympiadbench", split="test")).problems[0]
    assert (problem.id, problem.answer, problem.meta["subject"]) == ("olympiadbench/1664", "$69$,$84$", "Algebra")


def test_svamp_is_both_parts_of_the_hub_with_story_and_question_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "ID": "chal-1",
        "Body": "Ann has 3 pens. ",
        "Question": "How many?",
        "Answer": "3",
        "Type": "Sum",
        "Equation": "3",
    }
    calls = _serve(monkeypatch, {("ChilleD/SVAMP", None, "train+test"): [row]})
    problem = load_problems(DataSource(name="svamp", split="test")).problems[0]
    assert (problem.id, problem.question, problem.answer) == ("svamp/chal-1", "Ann has 3 pens. How many?", "3")
    assert problem.meta["subject"] == "Sum"
    assert calls[0]["split"] == "train+test"


@pytest.mark.parametrize(
    ("name", "place", "column"),
    [
        ("aime24", ("HuggingFaceH4/aime_2024", None, "train"), "problem"),
        ("aime25", ("math-ai/aime25", None, "test"), "problem"),
        ("amc23", ("math-ai/amc23", None, "test"), "question"),
    ],
)
def test_a_contest_is_read_from_its_place_on_the_hub(
    name: str, place: tuple[str, str | None, str], column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve(monkeypatch, {place: [{"id": 60, column: "How many?", "answer": "204"}]})
    loaded = load_problems(DataSource(name=name, split="test"))
    assert [(p.id, p.question, p.answer, p.source) for p in loaded.problems] == [
        (f"{name}/60", "How many?", "204", name)
    ]
    assert loaded.origin == f"hub {place[0]}@test"


@pytest.mark.parametrize("name", ["aime24", "olympiadbench", "svamp"])
def test_a_set_without_training_problems_says_so(name: str) -> None:
    with pytest.raises(DataError, match=f"{name!r} has no split 'train'; there is only 'test'"):
        load_problems(DataSource(name=name, split="train"))


@pytest.mark.parametrize(
    ("solution", "gold"),
    [
        ("$\\boxed{1}$ then $\\boxed{2}$", "2"),
        ("$\\boxed{\\frac{1}{\\sqrt{2}}}$", "\\frac{1}{\\sqrt{2}}"),
        ("$\\boxed{\\{1, 2\\}}$", "\\{1, 2\\}"),
        ("$\\boxed{\\left\\{ x \\right.}$", "\\left\\{ x \\right."),  # a printed brace opens no group
        ("$\\boxed{ .5 }$", " .5 "),
        ("is \\boxed 2$.", "2"),
        ("$\\boxed {3}$", "3"),
        ("$\\boxed{}$", ""),
        ("$\\boxed{1", ""),
        ("no box", ""),
    ],
)
def test_the_gold_is_the_raw_content_of_the_last_box(solution: str, gold: str) -> None:
    assert last_boxed(solution) == gold


def test_math500_takes_the_answer_column_and_the_unique_id(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, {("HuggingFaceH4/MATH-500", None, "test"): [MATH500_ROW]})
    (problem,) = load_problems(DataSource(name="math500", split="test")).problems
    assert (problem.id, problem.answer) == ("math500/test/algebra/1.json", "\\frac{1}{2}")
    assert problem.meta == {"solution": MATH500_ROW["solution"], "subject": "Algebra", "level": 5}


def test_any_hub_dataset_can_be_read_with_config_revision_and_named_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _serve(monkeypatch, {("org/name", "hard", "train"): [{"q": "1 + 1?", "a": 2, "level": 3}]})
    source = DataSource(
        name="org/name:hard", question_column="q", answer_column="a", options={"revision": "abc123"}, limit=5
    )
    loaded = load_problems(source)
    assert calls == [{"path": "org/name", "name": "hard", "split": "train", "revision": "abc123"}]
    assert loaded.origin == "hub org/name hard@train revision abc123"
    assert loaded.problems == (
        Problem(id="org/name:hard/train/0", question="1 + 1?", answer="2", source="org/name:hard", meta={"level": 3}),
    )


def test_no_source_ever_asks_for_remote_code(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _serve(monkeypatch, {("HuggingFaceH4/MATH-500", None, "test"): [MATH500_ROW]})
    load_problems(DataSource(name="math500", split="test"))
    assert set(calls[0]) == {"path", "name", "split", "revision"}


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'o/n' doesn't exist on the Hub or cannot be accessed."),
            "Dataset 'o/n' doesn't exist on the Hub or cannot be accessed",
            "check the id",
        ),
        (
            ValueError("Unknown split \"tset\". Should be one of ['train', 'test'].\nmore"),
            "Unknown split \"tset\". Should be one of ['train', 'test']",
            "check the id",
        ),
        (
            RuntimeError("Dataset scripts are no longer supported, but found n.py"),
            "Dataset scripts are no longer supported, but found n.py",
            "check the id",
        ),
        (ConnectionError("Couldn't reach 'o/n' on the Hub"), "Couldn't reach 'o/n' on the Hub", "connect, or name a"),
        (Exception(), "Exception", "connect, or name a"),  # an HTTP library's own error, without a message
    ],
)
def test_a_failure_is_one_sentence_of_what_why_and_remedy(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, remedy: str
) -> None:
    _fail(monkeypatch, error)
    with pytest.raises(DataError) as caught:
        load_problems(DataSource(name="o/n"))
    message = str(caught.value)
    assert message.startswith(f"could not load `o/n@train` from the Hugging Face hub: {reason}; {remedy}")
    assert "\n" not in message


def test_a_named_dataset_without_a_network_points_to_the_folder_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, ConnectionError("no route"))
    with pytest.raises(DataError, match=r"set `REASONING_GRPO_DATA` to a folder that holds `gsm8k/test\.jsonl`$"):
        load_problems(DataSource(name="gsm8k", split="test"))


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path


def _put_in_cache(cache: Path, rows: list[dict[str, Any]]) -> None:
    """Write `org/name` the way `datasets` caches a dataset that it has downloaded once."""
    folder = cache / "org___name" / "default" / "0.0.0" / "0123abcd"
    table = datasets.Dataset.from_list(rows)
    folder.mkdir(parents=True)
    with datasets.arrow_writer.ArrowWriter(path=str(folder / "name-train.arrow"), features=table.features) as writer:
        for row in rows:
            writer.write(row)
        writer.finalize()
    info = datasets.DatasetInfo(
        features=table.features,
        dataset_name="name",
        config_name="default",
        version="0.0.0",
        splits={"train": {"name": "train", "num_examples": len(rows), "dataset_name": "name"}},
    )
    info.write_to_directory(str(folder))


def test_without_an_answer_the_real_library_gives_up_at_once(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_reachable", lambda url: False)
    with pytest.raises(DataError, match=r"does not answer and it is not in the local cache; connect"):
        load_problems(DataSource(name="org/name"))
    assert datasets.config.HF_HUB_OFFLINE is False  # only switched for the call


def test_the_library_is_offline_during_a_load_without_an_answer_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def load_dataset(*args: Any, **options: Any) -> Any:
        seen.append(datasets.config.HF_HUB_OFFLINE)
        return datasets.Dataset.from_list([{"question": "q", "answer": "1"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for is_reachable in (False, True):
        monkeypatch.setattr(hub, "is_reachable", lambda url, answer=is_reachable: answer)
        load_problems(DataSource(name="org/name"))
    assert seen == [True, False]


def test_offline_mode_is_honoured_without_asking_the_network(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(hub, "is_reachable", asked.append)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"offline mode is on \(`HF_HUB_OFFLINE`\)"):
        load_problems(DataSource(name="org/name"))
    assert asked == []


def test_without_an_answer_a_cached_dataset_is_still_read(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_in_cache(empty_cache, [{"question": "1 + 1?", "answer": "2"}])
    monkeypatch.setattr(hub, "is_reachable", lambda url: False)
    (problem,) = load_problems(DataSource(name="org/name")).problems
    assert (problem.question, problem.answer) == ("1 + 1?", "2")


class _NotFound(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def local_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), _NotFound)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_that_answers_with_an_error_is_reachable_and_a_closed_port_is_not(local_url: str) -> None:
    assert hub.is_reachable(local_url)
    assert not hub.is_reachable("http://127.0.0.1:9")  # discard: nothing listens there


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_PROBE_SECONDS", 0.05)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not hub.is_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_name_lookup_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def urlopen(*args: Any, **options: Any) -> io.BytesIO:
        is_over.wait(5)  # no timeout of urllib bounds a lookup; a probe that waited for it would find an answer
        return io.BytesIO()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(hub, "_PROBE_SECONDS", 0.05)
    assert not hub.is_reachable("http://hub.invalid")
    is_over.set()
