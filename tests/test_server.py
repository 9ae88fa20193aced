"""Benchmarks of a model behind a server: one that behaves, one that does not, one that is not there."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import servers

from reasoning_grpo.cli import main
from reasoning_grpo.data.prompts import get_style
from reasoning_grpo.errors import RecipeError, RunError, UserError
from reasoning_grpo.eval.backends import Ask, own_seed
from reasoning_grpo.eval.backends.server import Endpoint, ServerBackend
from reasoning_grpo.eval.backends.transport import MAX_ATTEMPTS, Transport
from reasoning_grpo.eval.runs import load_run
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.schema import Completion

DEMO_MODEL = Path(__file__).resolve().parent.parent / "reasoning_grpo" / "demo_model"


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    rows = [{"id": f"p{n}", "question": f"What is {n}?", "answer": str(n)} for n in range(1, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make(server: servers.Scripted, settings: Settings | None = None, **changes: Any) -> ServerBackend:
    transport = Transport(server.url, deadline_seconds=changes.pop("deadline", 20.0), first_pause_seconds=0.01)
    style = get_style(changes.pop("style", "chat-boxed"))
    return ServerBackend(transport, "some-model", style, settings or Settings(), **changes)


def answers(backend: ServerBackend, count: int = 1, samples: int = 1) -> list[Completion]:
    asks = [
        Ask(prompt=backend.render(f"q{number}"), number=number, sample=sample)
        for number in range(count)
        for sample in range(samples)
    ]
    return [completion for _, completion in sorted(backend.complete(asks), key=lambda pair: pair[0])]


def bench(problems: Path, url: str, out: Path, *more: str) -> list[str]:
    return ["bench", str(problems), "--model", "m", "--backend", "openai", "--base-url", url, "--out", str(out), *more]


def complaint(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_text_tokens_and_the_end_come_from_the_answer() -> None:
    with servers.scripted(servers.says("so \\boxed{1}"), servers.says("so I", finish_reason="length")) as server:
        backend = make(server, concurrency=1)
        assert answers(backend, 2) == [
            Completion(text="so \\boxed{1}", num_tokens=7),
            Completion(text="so I", num_tokens=7, truncated=True),
        ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"message": {"reasoning_content": "hm"}}, "<think>hm</think>1"),
        ({"message": {"reasoning": "hm"}}, "<think>hm</think>1"),
        ({"message": {"content": "hm</think>1"}}, "<think>hm</think>1"),
        ({"message": {"content": "<think>hm</think>1"}}, "<think>hm</think>1"),
        ({"message": {"content": None, "reasoning_content": "hm"}}, "<think>hm</think>"),
    ],
)
def test_a_thought_the_server_took_apart_is_put_back(changes: dict[str, Any], text: str) -> None:
    with servers.scripted(servers.says("1", **changes)) as server:
        assert answers(make(server, style="chat-think-boxed"))[0].text == text


def test_a_server_that_counts_no_tokens_leaves_them_unknown() -> None:
    with servers.scripted(servers.says("1", usage=None)) as server:
        assert answers(make(server))[0].num_tokens is None


def test_each_sample_has_a_seed_of_its_own_whatever_else_is_asked() -> None:
    settings = Settings(samples=2, temperature=0.5, seed=3)
    with servers.scripted() as server:
        answers(make(server, settings), count=2, samples=2)
        seeds = {body["seed"] for body in server.bodies}
    expected = {
        own_seed(3, Ask(prompt=make(server).render("q"), number=n, sample=k)) for n in range(2) for k in range(2)
    }
    assert seeds == expected
    assert len(seeds) == 4


def test_only_settings_that_say_something_are_sent() -> None:
    with servers.scripted() as server:
        answers(make(server))
        answers(make(server, Settings(temperature=1.0, top_p=0.9, top_k=5, min_p=0.1, stop=("X",))))
    plain, full = server.bodies
    assert set(plain) == {"model", "temperature", "max_tokens", "messages"}
    assert (full["top_p"], full["top_k"], full["min_p"], full["stop"]) == (0.9, 5, 0.1, ["X"])


def test_a_style_that_begins_the_answer_needs_the_completions_endpoint() -> None:
    with servers.scripted(servers.says(" so </think> <answer>1</answer>")) as server:
        with pytest.raises(RecipeError, match="use a chat style, or the server's completions endpoint"):
            make(server, style="r1-zero").render("q")
        found = answers(make(server, style="r1-zero", endpoint=Endpoint.COMPLETIONS))
    assert found[0].text == "<think> so </think> <answer>1</answer>"
    assert server.bodies[0]["prompt"].endswith("<think>")


TROUBLES = [
    servers.status(500),
    servers.status(503),
    servers.status(429, "slow down", Retry_After="0"),
    servers.cut,
    servers.garbage,
    servers.status(200, "[1]"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_that_passes_costs_nothing(trouble: servers.Behave) -> None:
    with servers.scripted(trouble, trouble) as server:
        assert answers(make(server))[0].text == "\\boxed{1}"
        assert len(server.bodies) == 3


def test_the_pause_a_server_asks_for_is_kept() -> None:
    with servers.scripted(servers.status(429, Retry_After="1")) as server:
        started = time.monotonic()
        answers(make(server))
        assert time.monotonic() - started >= 1.0


def test_trouble_that_stays_ends_the_run_with_its_words() -> None:
    with (
        servers.scripted(then=servers.status(500, "out of memory")) as server,
        pytest.raises(RunError, match=f"no usable answer in {MAX_ATTEMPTS} tries .status 500: out of memory"),
    ):
        answers(make(server))


@pytest.mark.parametrize("behave", [servers.never, servers.trickle])
def test_a_server_that_never_comes_to_an_end_is_left_at_the_deadline(behave: servers.Behave) -> None:
    started = time.monotonic()
    with (
        servers.scripted(then=behave) as server,
        pytest.raises(RunError, match=r"no whole answer within 0\.5 s"),
    ):
        answers(make(server, deadline=0.5))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("code", [400, 404, 422, 302])
def test_a_refusal_is_final_and_in_the_servers_words(code: int) -> None:
    with servers.scripted(then=servers.status(code, "no such\x1b[31m model")) as server:
        with pytest.raises(UserError, match=rf"refuses the request \(status {code}: no such \[31m model\)"):
            answers(make(server))
        assert len(server.bodies) == 1


@pytest.mark.parametrize("content", ["{}", '{"choices": []}', '{"choices": [{"message": {"content": [1]}}]}'])
def test_an_answer_of_another_protocol_is_one_sentence(content: str) -> None:
    with (
        servers.scripted(then=servers.status(200, content)) as server,
        pytest.raises(RunError, match="in a form that is not OpenAI's"),
    ):
        answers(make(server))


def test_requests_run_side_by_side_and_never_more_than_allowed() -> None:
    with servers.scripted(then=servers.slow("1")) as server:
        assert len(answers(make(server, concurrency=4), count=12)) == 12
        assert 1 < server.most_open <= 4


def test_no_key_is_sent_unless_named_and_then_as_a_bearer(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("MY_KEY", "k3y")
    with servers.scripted() as server:
        assert main(bench(problems, server.url, tmp_path / "a")) == 0
        assert main(bench(problems, server.url, tmp_path / "b", "--api-key-env", "MY_KEY")) == 0
    keys = {headers.get("authorization") for headers in server.headers}
    assert keys == {None, "Bearer k3y"}
    assert all("k3y" not in path.read_text() for path in (tmp_path / "b").rglob("run.json"))
    assert "`--api-key-env` names the environment variable 'NO_KEY', which is not set" in complaint(
        capsys, *bench(problems, server.url, tmp_path / "c", "--api-key-env", "NO_KEY")
    )


def test_a_proxy_for_the_world_is_no_way_to_this_machine(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with servers.scripted() as server:
        assert main(bench(problems, server.url, tmp_path / "out")) == 0


def test_a_server_that_is_not_there_is_one_sentence_and_leaves_nothing(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with servers.scripted() as server:
        url = server.url
    error = complaint(capsys, *bench(problems, url, tmp_path / "out"))
    assert f"no model server answers at {url}" in error
    assert "start it, or mend `--base-url`" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", "http://x:port/v1", "http://[::1"])
def test_an_address_that_is_none_is_refused(
    url: str, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "`--base-url` is" in complaint(capsys, *bench(problems, url, tmp_path / "out"))


def test_a_base_url_without_the_backend_is_refused(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["bench", str(problems), "--model", "m", "--base-url", "http://127.0.0.1:1/v1", "--out", str(tmp_path / "o")]
    assert "give both or neither" in complaint(capsys, *args)


def test_a_server_that_fails_midway_keeps_what_came_and_goes_on(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    good = [servers.says("\\boxed{1}"), servers.says("\\boxed{2}")]
    with servers.scripted(*good, then=servers.status(400, "gone")) as server:
        error = complaint(capsys, *bench(problems, server.url, out, "--concurrency", "1"))
    folder = next(out.iterdir())
    assert error.endswith(f"2 of 4 samples are kept; `reasoning-grpo bench --resume {folder}` goes on")
    assert not (folder / "attempts.jsonl").exists()
    elsewhere = complaint(capsys, "bench", "--resume", str(folder), "--base-url", "http://127.0.0.1:9/v1")
    assert "`--base-url` cannot be given with `--resume`" in elsewhere  # another server may have other weights
    record = json.loads((folder / "run.json").read_text())
    port = int(record["facts"]["connection"]["base_url"].rsplit(":")[-1].split("/")[0])
    with servers.scripted(port=port) as server:
        assert main(["bench", "--resume", str(folder)]) == 0
        asked = [body["messages"][-1]["content"].partition("\n")[0] for body in server.bodies]
    assert sorted(asked) == ["What is 3?", "What is 4?"]
    outcomes = [str(run_attempt.verdicts["accuracy"].outcome) for run_attempt in load_run(folder).attempts]
    assert outcomes == ["pass", "pass", "fail", "fail"]  # the second server says \boxed{1} to both


def test_a_first_request_that_is_refused_leaves_nothing(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with servers.scripted(then=servers.status(404, "no such model")) as server:
        error = complaint(capsys, *bench(problems, server.url, tmp_path / "out"))
    assert error.endswith(
        "refuses the request (status 404: no such model); `--base-url` ends in `/v1` for most servers, and `--model` "
        "is the server's name"
    )
    assert list((tmp_path / "out").iterdir()) == []


def _listen_to_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_run_whose_server_is_silent_and_says_how_to_go_on(problems: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with servers.scripted(servers.says("\\boxed{1}"), then=servers.never) as server:
        command = [sys.executable, "-m", "reasoning_grpo", *bench(problems, server.url, out, "--concurrency", "2")]
        # A test run in the background ignores SIGINT, and its children would inherit that.
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_listen_to_ctrl_c)
        ends = time.monotonic() + 60
        while time.monotonic() < ends and len(server.bodies) < 3:  # one answered, two waiting
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            error = process.communicate(timeout=60)[1]
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 130
    assert f"1 of 4 samples are kept; `reasoning-grpo bench --resume {next(out.iterdir())}` goes on" in error


def test_a_servers_client_needs_no_torch(problems: Path, tmp_path: Path) -> None:
    code = "import sys; from reasoning_grpo.cli import main; sys.exit(main(sys.argv[1:]) or 'torch' in sys.modules)"
    with servers.scripted() as server:
        command = [sys.executable, "-c", code, *bench(problems, server.url, tmp_path / "out")]
        assert subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_real_server_gives_what_the_model_gives_in_this_process(tmp_path: Path) -> None:
    for needed in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(needed)
    asked = ["bench", "arithmetic", "--limit", "12", "--max-completion-tokens", "25", "--prompt", "bare-tags"]
    model = ["--model", str(DEMO_MODEL)]
    with servers.transformers_serve(DEMO_MODEL, tmp_path / "serve.log") as url:
        far = ["--backend", "openai", "--base-url", url, "--endpoint", "completions", "--concurrency", "3"]
        assert main([*asked, *model, *far, "--out", str(tmp_path / "far")]) == 0
    assert main([*asked, *model, "--out", str(tmp_path / "near")]) == 0
    runs = [load_run(next((tmp_path / place).iterdir())) for place in ("far", "near")]
    far_ones, near_ones = ([attempt.completion for attempt in run.attempts] for run in runs)
    assert [(one.text, one.num_tokens) for one in far_ones] == [(one.text, one.num_tokens) for one in near_ones]
    # `transformers serve` calls an answer cut off as well when its end token is the last one allowed.
    early = [(far, near) for far, near in zip(far_ones, near_ones, strict=True) if near.num_tokens != 25]
    assert [far.truncated for far, _ in early] == [near.truncated for _, near in early] == [False] * len(early)
    assert 0 < len(early) < 12
    assert all(far.truncated for far in far_ones if far.num_tokens == 25)
    assert runs[0].conditions == runs[1].conditions
