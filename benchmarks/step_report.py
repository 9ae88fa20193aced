"""What the step benchmark found: the floor, medians, ratios, tables."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from machine import machine, machine_rates, told
from step_sides import Plan, Seconds, Side

PARTS = (
    ("rollout", "rollout", "rollout"),
    ("update 0%", "update 0%", "update, every group with signal"),
    ("update 0%", "update 60%", "update, {60} without"),
    ("update 0%", "update 80%", "update, {80} without"),
)


def floor_seconds(plan: Plan, trainer: Any, prompts: Sequence[str], silent_share: float) -> float:
    """Return the least time a whole step can take on this machine; see `step_time.py`."""
    rate, bandwidth = machine_rates(torch.bfloat16 if plan.bfloat16 else torch.float32, plan.processor_seconds)
    head = trainer.model.get_output_embeddings().weight.numel()
    embedding = trainer.model.get_input_embeddings().weight.numel()
    tied = trainer.model.config.tie_word_embeddings
    body = sum(p.numel() for p in trainer.model.parameters()) - embedding - (0 if tied else head)
    prompt_tokens = [len(ids) for ids in trainer.processing_class(text=list(prompts))["input_ids"]]
    lengths = plan.lengths
    first = plan.num_silent(silent_share)
    scored = sum(lengths[first * plan.group :])
    rollout = (2 * body * (sum(prompt_tokens) + sum(lengths)) + 2 * head * sum(lengths)) / rate
    reading = max(lengths) * (body + head) * (2 if plan.bfloat16 else 4) / bandwidth
    update = 3 * (2 * body * (sum(prompt_tokens[first:]) + scored) + 2 * head * scored) / rate
    return float(max(rollout, reading) + update)


def summary(
    plan: Plan, stock: Side, ours: Side, continuous: Seconds | None, floor: float, error: float
) -> dict[str, Any]:
    """Return medians and ratios; TRL's rollout is the faster of `generate` and, where it ran, continuous batching."""
    times = {"stock": _medians(stock), "ours": _medians(ours)}
    clock = "processor" if plan.processor_seconds else "wall"
    candidates = {"generate": times["stock"]["rollout"]}
    if continuous is not None:
        candidates["continuous batching"] = dataclasses.asdict(continuous)
    best = min(candidates, key=lambda name: candidates[name][clock])
    times["stock"]["rollout"] = candidates[best]

    def ratio(theirs: str, name: str) -> float:
        return times["stock"][theirs][clock] / times["ours"][name][clock]

    our_step = times["ours"]["rollout"][clock] + times["ours"]["update 60%"][clock]
    stock_step = times["stock"]["rollout"][clock] + times["stock"]["update 0%"][clock]
    return {
        "rollout_ratio": ratio("rollout", "rollout"),
        "update_ratio_0": ratio("update 0%", "update 0%"),
        "update_ratio_60": ratio("update 0%", "update 60%"),
        "update_ratio_80": ratio("update 0%", "update 80%"),
        "step_ratio": stock_step / our_step,
        "peak_memory_ratio": statistics.median(ours.memory) / statistics.median(stock.memory),
        "max_gradient_error": error,
        "floor_fraction": floor / our_step,
        "floor_seconds": floor,
        "step_seconds": {"stock": stock_step, "ours": our_step},
        "median_seconds": times,
        "stock_rollouts": candidates,
        "stock_rollout": best,
        "seconds": {"stock": _all(stock), "ours": _all(ours)},
        "peak_bytes": {"stock": stock.memory, "ours": ours.memory},
        "plan": dataclasses.asdict(plan),
        "machine": machine(),
    }


def _medians(side: Side) -> dict[str, dict[str, float]]:
    return {
        name: {clock: statistics.median(getattr(one, clock) for one in found) for clock in ("wall", "processor")}
        for name, found in side.seconds.items()
    }


def _all(side: Side) -> dict[str, list[dict[str, float]]]:
    return {name: [dataclasses.asdict(one) for one in found] for name, found in side.seconds.items()}


def heading(plan: Mapping[str, Any], where: Mapping[str, Any]) -> str:
    """Return the sentence that says on what, with what and when it was measured."""
    return (
        f"{told(where)}; {'bfloat16' if plan['bfloat16'] else 'float32'}; micro-batches of {plan['micro_batch_size']}; "
        f"{plan['repetitions']} repetitions after a warm-up, medians; ratios of "
        f"{'processor' if plan['processor_seconds'] else 'wall'} seconds."
    )


def table(result: Mapping[str, Any]) -> str:
    """Return the result as Markdown."""
    times, plan = result["median_seconds"], result["plan"]
    groups = plan["num_prompts"]
    words = {f"{{{share}}}": f"{round(share / 100 * groups)} of {groups} groups" for share in (60, 80)}
    clock = "processor" if plan["processor_seconds"] else "wall"
    lines = [
        f"{plan['num_prompts']} prompts x {plan['group']} completions of up to {plan['max_tokens']} tokens. "
        + heading(plan, result["machine"]),
        "",
        "| part | TRL, wall s | ours, wall s | TRL, processor s | ours, processor s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for theirs, name, title in PARTS:
        stock, ours = times["stock"][theirs], times["ours"][name]
        for mark, word in words.items():
            title = title.replace(mark, word)
        cells = f"{stock['wall']:.1f} | {ours['wall']:.1f} | {stock['processor']:.1f} | {ours['processor']:.1f}"
        lines.append(f"| {title} | {cells} | {stock[clock] / ours[clock]:.2f} |")
    peaks = [statistics.median(result["peak_bytes"][side]) / 1e9 for side in ("stock", "ours")]
    lines += [
        f"| whole step, {words['{60}']} without | | | | | {result['step_ratio']:.2f} |",
        f"| peak memory a step adds: {peaks[0]:.2f} GB, ours {peaks[1]:.2f} GB | | | | | "
        f"{result['peak_memory_ratio']:.2f} |",
        "",
        _rollout_sentence(result, clock),
        f"Floor of our step {result['floor_seconds']:.1f} s, reached {result['floor_fraction']:.0%}. Largest "
        f"difference of our float32 gradients from TRL's: {result['max_gradient_error']:.0e} of the largest entry.",
    ]
    return "\n".join(lines) + "\n"


def _rollout_sentence(result: Mapping[str, Any], clock: str) -> str:
    found = ", ".join(f"`{name}` {seconds[clock]:.1f} s" for name, seconds in result["stock_rollouts"].items())
    return f"TRL's rollouts: {found}; its side of the ratio is the faster."


def rollout_sentence(plan: Plan, stock: Side, ours: Side) -> str:
    """Return the medians of both sides' rollouts, and their ratio in each pair."""
    clock = "processor" if plan.processor_seconds else "wall"
    theirs, mine = ([getattr(one, clock) for one in side.seconds["rollout"]] for side in (stock, ours))
    ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
    return (
        f"Rollouts of {plan.num_prompts} prompts x {plan.group} completions of up to {plan.max_tokens} tokens: TRL's "
        f"`generate` {statistics.median(theirs):.1f} s, ours {statistics.median(mine):.1f} s, ratio "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}).\n"
        f"{heading(dataclasses.asdict(plan), machine())}\n"
    )


def scaling_table(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return one line per variant."""
    lines = [
        "Scaling. " + heading(results[0][1]["plan"], results[0][1]["machine"]),
        "",
        "| variant | rollout | update | update, 60 % silent | step, 60 % silent | memory | floor reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, one in results:
        keys = ("rollout_ratio", "update_ratio_0", "update_ratio_60", "step_ratio", "peak_memory_ratio")
        cells = " | ".join(f"{one[key]:.2f}" for key in keys)
        lines.append(f"| {title} | {cells} | {one['floor_fraction']:.0%} |")
    return "\n".join(lines) + "\n"
