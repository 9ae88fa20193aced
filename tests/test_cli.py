"""The command line as a person meets it: exit codes, one sentence per mistake, nothing half-written."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.cli import VERBS, main

ROOT = Path(__file__).resolve().parent.parent
ROWS = [
    {"dataset": "a", "gold": "72", "response": "so \\boxed{72}", "label": True},
    {"dataset": "a", "gold": "72", "response": "so \\boxed{73}", "label": False},
    {"dataset": "b", "gold": "5", "response": "I do not know", "label": False},
]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def complaint(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command that must be refused and return its one sentence."""
    assert main(list(args)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def test_every_verb_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([verb, "--help"])
    except SystemExit as stop:  # tyro prints the help and stops
        code = int(stop.code or 0)
    assert code == 0
    assert verb in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["audit", "bench", "compare", "demo", "export", "regrade", "report", "score"])
def test_no_help_shows_the_none_of_an_option_left_out(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert "None" not in capsys.readouterr().out


def test_the_help_shows_what_an_option_takes_and_a_position_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    text = capsys.readouterr().out
    assert "[OPTIONS] [SUITE]" in text
    assert "--samples INT " in text
    assert "--endpoint {chat,completions}" in text


@pytest.mark.parametrize("name", ["nomodel/", "./nomodel", "out/run/best"])
def test_a_model_folder_that_is_not_there_is_no_hub_id(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"the model folder `{name}` does not exist; name a folder with config.json, or a hub id `org/name`"
    assert words in complaint(capsys, "bench", "arithmetic", "--model", name)


def test_a_name_that_may_be_a_hub_id_is_said_to_be_no_folder_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reasoning_grpo.models.is_reachable", lambda url: False)
    error = complaint(capsys, "bench", "arithmetic", "--model", "someone/no-model-of-this-name")
    assert "There is no folder of that name here, so it was looked for on the hub" in error


def test_a_value_that_no_row_has_is_answered_with_those_there_are(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = complaint(capsys, "score", str(outputs), "--where", "dataset=c")
    assert error.endswith(f"no row of {outputs} has dataset=c; `dataset` holds 'a', 'b'")


def test_the_values_there_are_can_be_asked_for_as_they_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"gold": "1", "response": "1", "level": level} for level in (None, 5, "5", True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert complaint(capsys, "score", str(path), "--where", "level=null").endswith("`level` holds '', '5', 'true'")
    for shown in ("", "5", "true"):
        assert main(["score", str(path), "--where", f"level={shown}"]) == 0


def test_help_and_score_load_no_torch(outputs: Path) -> None:
    code = (
        "import sys; from reasoning_grpo.cli import main; main(['--help']); main(['score', sys.argv[1]]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(outputs)], check=False, capture_output=True).returncode == 0


def test_a_misspelt_verb_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, "trian").endswith("there is no command `trian`; did you mean 'train'?")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("score", "name FILE; see `reasoning-grpo score --help`"),
        ("score x.jsonl --convension qwen", "there is no option `--convension`; did you mean '--convention'?"),
        ("score x.jsonl --convention qwenn", "`--convention qwenn` is none of the choices; did you mean 'qwen'?"),
        ("score x.jsonl y.jsonl", "`y.jsonl` is one argument too many"),
        ("score x.jsonl --where a=1 --out", "`--out` needs a value: `--out VALUE`"),
        ("audit --verifier accuracy --limit x", "`--limit x` must be a whole number"),
        ("audit --verifier accuracy --deadline x", "`--deadline x` must be a number"),
        ("audit --role right", "`--role right` is none of the choices; known: accuracy, form, shape"),
        ("demo --seed 1.5", "`--seed 1.5` must be a whole number"),
        ("train demo-arithmetic --train.steps 0", "`train.steps` is 0; it must be at least 1"),
        ("train demo-arithmetic --train.steps x", "`--train.steps x` must be a whole number"),
        ("train gsm8k-qwen", "did you mean 'gsm8k-qwen2.5-0.5b'?"),
        ("audit demo-arithmetik", "did you mean 'demo-arithmetic'?"),
    ],
)
def test_a_wrong_option_or_value_is_refused_in_one_sentence(
    args: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in complaint(capsys, *args.split())
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_value_is_refused_in_one_sentence_where_no_box_can_be_drawn() -> None:
    code = "import sys; from reasoning_grpo.cli import main; sys.exit(main(['score', 'x', '--by', 'a', '--jsn']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 2
    assert done.stderr == "reasoning-grpo score: there is no option `--jsn`; did you mean '--json'?\n"


def test_where_may_be_said_once_for_each_column_or_once_for_all(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in (["--where", "dataset=a", "label=true"], ["--where", "dataset=a", "--where", "label=true"]):
        assert main(["score", str(outputs), *where, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["all"]["num_rows"] == 1


def test_score_counts_outcomes_and_agreement(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(outputs), "--json", "--by", "dataset"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["all"]["num_rows"], record["all"]["num_passed"]) == (3, 1)
    assert record["all"]["outcomes"]["no_answer"] == 1
    assert record["dataset=a"]["accuracy"] == 0.5
    assert record["all"]["agreement"]["both_wrong"] == 2


def test_score_reads_gzip_filters_rows_and_writes_verdicts(outputs: Path, tmp_path: Path) -> None:
    packed, out = tmp_path / "outputs.jsonl.gz", tmp_path / "verdicts.jsonl"
    with gzip.open(packed, "wb") as file:
        file.write(outputs.read_bytes())
    assert main(["score", str(packed), "--where", "dataset=a", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["verdict"]["outcome"] for row in rows] == ["pass", "fail"]
    assert rows[0]["response"] == "so \\boxed{72}"
    assert rows[0]["verdict"]["extracted"] == "72"


def test_score_grades_by_another_projects_convention(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(outputs), "--convention", "gsm8k-hash", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["all"]["num_passed"] == 0  # boxes, and this one reads `####` only


def test_score_offers_exactly_the_known_conventions() -> None:
    from typing import get_args

    from reasoning_grpo.commands.score import Convention
    from reasoning_grpo.rewards.conventions import CONVENTIONS

    assert get_args(Convention) == tuple(CONVENTIONS)


def test_score_uses_a_verifier_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "outputs.jsonl"
    texts = ("4 because 2 + 2 is \\boxed{4}", "\\boxed{4}", "5 because \\boxed{5}")
    path.write_text("".join(json.dumps({"gold": "4", "response": text}) + "\n" for text in texts))
    reference = f"{ROOT / 'examples' / 'my_verifiers.py'}:says_why"
    assert main(["score", str(path), "--verifier", reference, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["all"]["num_passed"] == 1  # right and says `because`


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["{dir}/none.jsonl"], "there is no file"),
        (["{file}", "--where", "dataset"], "write `--where column=value`"),
        (["{file}", "--where", "datset=a"], "did you mean 'dataset'?"),
        (["{file}", "--where"], "write `--where column=value`"),
        (["{file}", "--where", "dataset=a", "--where", "dataset=b"], "two values of `dataset`, 'a' and 'b'"),
        (["{file}", "--where", "dataset=c"], "no row of"),
        (["{file}", "--gold-column", "truth"], "no gold column 'truth'"),
        (["{file}", "--gold-column", "truth"], "name the one with `--gold-column` (in Python `gold=`)"),
        (["{file}", "--convention", "qwen", "--verifier", "{dir}/broken.py:two"], "name one of them"),
        (["{file}", "--verifier", "acuracy"], "did you mean 'accuracy'?"),
        (["{file}", "--verifier", "./none.py:fn"], "none.py"),
        (["{file}", "--verifier", "{dir}/broken.py:two"], "2.0"),
        (["{file}", "--verifier", "{dir}/broken.py:nan"], "nan"),
        (["{file}", "--verifier", "{dir}/broken.py:raises"], "KeyError"),
        (["{file}", "--verifier", "{dir}/broken.py:rises"], "did you mean 'raises'?"),
        (["{file}", "--verifier", "{dir}/syntax.py:fn"], "syntax.py"),
        (["{dir}/empty.jsonl"], "has no rows"),
        (["{dir}/bad.jsonl"], "line 1"),
    ],
)
def test_score_refuses_in_one_sentence(
    args: list[str], words: str, outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text(
        "def two(c, p): return 2.0\ndef nan(c, p): return float('nan')\ndef raises(c, p): return {}['x']\n"
    )
    (tmp_path / "syntax.py").write_text("def fn(:\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    out = tmp_path / "out.jsonl"
    filled = [arg.format(file=outputs, dir=tmp_path) for arg in args]
    assert main(["score", *filled, "--out", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error
    assert not out.exists()


def write_recipe(folder: Path, model: Path, text: str = "") -> Path:
    path = folder / "recipe.toml"
    data = '[data]\nname = "arithmetic"\nlimit = 40\n[heldout]\nnum_problems = 9\n'
    path.write_text(f'output_dir = "{folder}/out"\n[model]\nname = "{model}"\n{data}{text}')
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[prompt]\nstyl = "plain"\n', "unknown key `prompt.styl`; did you mean 'style'?"),
        ("[train]\nsteps = 1.5\n", "`train.steps` is 1.5"),
        ("[trl]\nlos_type = 'grpo'\n", "unknown key `trl.los_type`; did you mean 'loss_type'?"),
        ('[prompt]\nstyle = "chat-tags"\n', "chat template"),
        ('[[rewards]]\nname = "x"\nverifier = "./x.py:fn"\n', "x.py"),
        ('[[rewards]]\nname = "x"\nverifier = "accuracy"\noptions = { strct = true }\n', "strct"),
        ('[[rewards]]\nname = "x"\nverifier = "accuracy"\ngated_by = "y"\n', "y"),
        ('[prompt]\nstyle = "plain"\n[[exclude]]\nname = "no/such/folder.jsonl"\n', "no/such/folder.jsonl"),
    ],
)
def test_train_refuses_in_one_sentence_and_leaves_nothing(
    text: str, words: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in complaint(capsys, "train", str(write_recipe(tmp_path, tiny_model, text)))
    assert not (tmp_path / "out").exists()


def test_train_and_bench_refuse_a_model_folder_without_a_tokenizer(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("tokenizer*"))
    recipe = write_recipe(tmp_path, bare, '[prompt]\nstyle = "plain"\n')
    assert "holds no tokenizer" in complaint(capsys, "train", str(recipe))
    bench = ("bench", "arithmetic", "--model", str(bare), "--out", str(tmp_path / "o"))
    assert "holds no tokenizer" in complaint(capsys, *bench)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("model", "words"),
    [("./nowhere", "does not exist"), ("{dir}", "is a folder without config.json"), ("{dir}/file", "is a file")],
)
def test_bench_refuses_what_is_no_model(
    model: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert words in complaint(capsys, "bench", "arithmetic", "--model", model.format(dir=tmp_path))


def test_bench_refuses_a_hub_model_without_a_network_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    error = complaint(capsys, "bench", "arithmetic", "--model", "nobody/no-such-model")
    assert "`nobody/no-such-model`" in error
    assert "name a local folder" in error


def test_a_misspelt_suite_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'gsm8k'; a path" in complaint(capsys, "bench", "gsm8", "--model", "x")


def test_bench_writes_attempts_and_a_result(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = tmp_path / "mine.jsonl"
    rows = [{"question": "2+2?", "answer": 4}, {"question": "1?", "answer": ""}]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = ["bench", str(problems), "--model", str(tiny_model), "--max-completion-tokens", "4", "--out", str(tmp_path)]
    assert main([*args, "--prompt", "plain"]) == 0
    assert "accuracy:" in capsys.readouterr().out
    folder = next(path for path in tmp_path.iterdir() if path.name.startswith("mine-"))
    result = json.loads((folder / "result.json").read_text())
    assert (result["num_problems"], result["num_graded"]) == (1, 1)
    assert result["facts"]["num_dropped_empty_answer"] == 1
    assert result["conditions"]["prompt"]["style"] == "plain"
    attempt = json.loads((folder / "attempts.jsonl").read_text())
    assert (attempt["question"], attempt["gold"], attempt["sample"]) == ("2+2?", "4", 0)


def conditions(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(out.rglob("run.json")).read_text())["conditions"]
    return found


def test_bench_asks_as_the_model_was_trained(tiny_model: Path, tmp_path: Path) -> None:
    from reasoning_grpo.models import record_prompt_style

    trained = tmp_path / "trained"
    shutil.copytree(tiny_model, trained)
    record_prompt_style(trained, "bare-tags")
    args = ["bench", "arithmetic", "--limit", "2", "--max-completion-tokens", "2", "--out", str(tmp_path / "out")]
    assert main([*args, "--model", str(trained)]) == 0
    assert conditions(tmp_path / "out")["prompt"]["style"] == "bare-tags"


def test_bench_counts_with_a_verifier_from_a_file(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def always(completion, problem): return True\n")
    args = ["bench", "arithmetic", "--limit", "3", "--max-completion-tokens", "2", "--prompt", "plain"]
    args += ["--out", str(tmp_path / "out")]
    assert main([*args, "--model", str(tiny_model), "--verifier", f"{tmp_path}/mine.py:always"]) == 0
    assert json.loads(next((tmp_path / "out").rglob("result.json")).read_text())["accuracy"] == 1.0


@pytest.mark.parametrize("damage", ["truncated", "other shape"])
def test_bench_refuses_damaged_weights(
    damage: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    if damage == "truncated":
        weights = broken / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        config = json.loads((broken / "config.json").read_text())
        (broken / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    assert "cannot be loaded" in complaint(capsys, "bench", "arithmetic", "--model", str(broken), "--prompt", "plain")


def test_a_misspelt_override_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    error = complaint(capsys, "train", "gsm8k-qwen2.5-0.5b", "--train.stpes", "3")
    assert "unknown key `train.stpes`; did you mean 'steps'?" in error
