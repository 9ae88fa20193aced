"""Which groups give their place to fresh prompts, which prompts those are, and that nothing depends on the clock."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from reasoning_grpo.advantage import Signal
from reasoning_grpo.collecting import Collected, Collector, Replacement, collect_with_signal
from reasoning_grpo.dynamic_sampling import PromptReserve, Row
from reasoning_grpo.engine.decoding import Written
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.trl_bridge import RewardFunction
from reasoning_grpo.trl_rollout import Place

TABLE: list[Row] = [{"prompt": f"q{number}"} for number in range(6)]


def prompts(rows: Sequence[Row]) -> list[str]:
    return [row["prompt"] for row in rows]


def test_a_pass_over_the_reserve_draws_every_row_once() -> None:
    reserve = PromptReserve(TABLE, seed=0)
    assert sorted(prompts([*reserve.draw(2, set()), *reserve.draw(4, set())])) == prompts(TABLE)


def test_every_pass_has_an_order_of_its_own() -> None:
    reserve = PromptReserve(TABLE, seed=0)
    first, second = prompts(reserve.draw(6, set())), prompts(reserve.draw(6, set()))
    assert sorted(first) == sorted(second)
    assert first != second


def test_what_the_step_holds_is_not_drawn() -> None:
    assert sorted(prompts(PromptReserve(TABLE, seed=0).draw(2, {"q0", "q1", "q2", "q3"}))) == ["q4", "q5"]


def test_a_prompt_that_is_there_twice_is_drawn_once() -> None:
    assert prompts(PromptReserve([{"prompt": "q"}, {"prompt": "q"}], seed=0).draw(2, set())) == ["q"]


def test_where_nothing_fresh_is_left_fewer_are_drawn() -> None:
    reserve = PromptReserve(TABLE, seed=0)
    assert prompts(reserve.draw(3, {"q0", "q1", "q2", "q3", "q4"})) == ["q5"]
    assert reserve.draw(1, set(prompts(TABLE))) == []


def test_the_order_goes_on_from_its_state() -> None:
    reserve = PromptReserve(TABLE, seed=3)
    reserve.draw(8, set())  # the whole first pass: there are but 6
    reserve.draw(2, set())
    other = PromptReserve(TABLE, seed=3)
    other.load_state(json.loads(json.dumps(reserve.state())))
    assert other.draw(5, set()) == reserve.draw(5, set())


def test_processes_draw_from_shares_that_do_not_meet() -> None:
    shares = [PromptReserve(TABLE, seed=0, process=n, num_processes=2).draw(3, set()) for n in range(2)]
    assert sorted(prompts([*shares[0], *shares[1]])) == prompts(TABLE)


# -- collecting, with a model that writes its prompt's script and nothing else

SIZE = 2
CORRECT = RewardTerm(name="correct", verifier="accuracy")
OVERLONG = {"max_tokens": 20, "buffer_tokens": 20, "needs_answer": False}
SHAPED = RewardTerm(name="shaped", verifier="soft_overlong", options=OVERLONG)


def collect(
    scripts: dict[str, tuple[str, str]],
    step: Sequence[str],
    reserve: Sequence[str],
    *,
    max_rounds: int,
    terms: tuple[RewardTerm, ...] = (CORRECT,),
) -> tuple[Collected, list[Place]]:
    """Return what is collected when each prompt gets its script's two answers (right: 4), and all places asked for."""
    asked: list[Place] = []
    texts: list[str] = []

    def write(rows: Sequence[str], places: Sequence[Place]) -> tuple[list[list[int]], Any]:
        asked.extend(places)

        def finished() -> Iterator[Written]:
            for index in reversed(range(len(rows))):  # the last one is finished first
                texts.append(scripts[rows[index]][places[index][1]])
                yield Written(index=index, ids=[len(texts) - 1] * len(texts[-1]))

        return [[0]] * len(rows), finished()

    fresh = [{"prompt": prompt, "answer": "" if prompt == "no gold" else "4"} for prompt in reserve]

    def draw(count: int) -> list[Row]:
        drawn, fresh[:] = fresh[:count], fresh[count:]
        return drawn

    rows = [{"prompt": p, "answer": "" if p == "no gold" else "4"} for p in step for _ in range(SIZE)]
    places = [divmod(index, SIZE) for index in range(len(rows))]
    collector = Collector(write=write, decode=lambda ids: texts[ids[0]], reward=RewardFunction(RewardSpec(terms=terms)))
    replacement = Replacement(draw=draw, max_rounds=max_rounds, num_generations=SIZE, num_prompts=len(step))
    return collect_with_signal(collector, rows, places, replacement), asked


SCRIPTS = {
    "mixed": ("4", "5"),
    "easy": ("4", "4"),
    "hard": ("5", "6"),
    "no gold": ("4", "5"),
    "hard but long": ("5", "no, it is rather 6"),
    "mixed too": ("7", "4"),
}


def kept(collected: Collected) -> list[str]:
    return [rollout.row["prompt"] for rollout in collected.rollouts[::SIZE]]


def causes(collected: Collected) -> list[tuple[str, Signal]]:
    return [(replaced.rollouts[0].row["prompt"], replaced.signal) for replaced in collected.replaced]


def test_groups_without_signal_are_replaced_in_place_and_their_cause_is_kept() -> None:
    collected, _ = collect(SCRIPTS, ["easy", "mixed", "no gold"], ["hard", "mixed too", "mixed"], max_rounds=2)
    assert kept(collected) == ["mixed", "mixed", "mixed too"]
    assert causes(collected) == [
        ("easy", Signal.ALL_RIGHT),
        ("no gold", Signal.UNGRADABLE),
        ("hard", Signal.ALL_WRONG),
    ]
    assert [rollout.completion.text for rollout in collected.rollouts] == ["4", "5", "4", "5", "7", "4"]
    assert collected.num_rounds == 2


def test_what_has_no_signal_after_the_last_round_stays() -> None:
    collected, _ = collect(SCRIPTS, ["easy"], ["hard", "mixed"], max_rounds=1)
    assert (kept(collected), causes(collected)) == (["hard"], [("easy", Signal.ALL_RIGHT)])


def test_where_the_reserve_is_empty_the_group_stays() -> None:
    collected, _ = collect(SCRIPTS, ["easy", "hard"], ["mixed"], max_rounds=9)
    assert (kept(collected), collected.num_rounds) == (["mixed", "hard"], 1)


def test_a_shaped_score_saves_no_group() -> None:
    collected, _ = collect(SCRIPTS, ["hard but long"], ["mixed"], max_rounds=1, terms=(CORRECT, SHAPED))
    # (20 - 1) / 20 and (20 - 18) / 20: the reward alone would have seen a signal
    assert [one.scored.reward for one in collected.replaced[0].rollouts] == pytest.approx([0.95, 0.1])
    assert causes(collected) == [("hard but long", Signal.ALL_WRONG)]


def test_a_shaped_score_condemns_no_group() -> None:
    unpaid = RewardTerm(name="correct", verifier="accuracy", weight=0.0)
    collected, _ = collect(SCRIPTS, ["mixed"], ["mixed too"], max_rounds=1, terms=(unpaid, SHAPED))
    assert [one.scored.reward for one in collected.rollouts] == pytest.approx([0.95, 0.95])
    assert kept(collected) == ["mixed"]


def test_a_second_term_that_abstains_makes_its_completions_ungradable() -> None:
    # The form has a score whatever the gold is; without a gold accuracy has none, and so the reward has none.
    terms = (RewardTerm(name="form", verifier="format_graded"), CORRECT)
    collected, _ = collect(SCRIPTS, ["no gold"], ["mixed"], max_rounds=1, terms=terms)
    assert causes(collected) == [("no gold", Signal.UNGRADABLE)]


def test_every_round_numbers_its_prompts_anew() -> None:
    _, asked = collect(SCRIPTS, ["mixed", "easy"], ["hard", "mixed too"], max_rounds=2)
    # Two prompts a step: round 1 is numbered from 2 and round 2 from 4, and the second place is replaced in both.
    assert asked == [(0, 0), (0, 1), (1, 0), (1, 1), (3, 0), (3, 1), (5, 0), (5, 1)]


def test_without_silent_groups_there_is_no_further_round() -> None:
    collected, _ = collect(SCRIPTS, ["mixed"], ["mixed too"], max_rounds=3)
    assert (collected.num_rounds, collected.replaced) == (0, [])


@pytest.mark.parametrize("step", [["easy", "hard"], ["hard", "easy"]])
def test_the_order_of_places_decides_who_gets_the_last_fresh_prompt(step: list[str]) -> None:
    collected, _ = collect(SCRIPTS, step, ["mixed"], max_rounds=1)
    assert kept(collected) == ["mixed", step[1]]
