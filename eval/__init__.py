"""The benchmark harness: suites, backends, measures, reports. Never imports the trainer or TRL."""

from reasoning_grpo.eval.metrics import Accuracy, PairedComparison, accuracy, compare_paired
from reasoning_grpo.eval.suite import Suite, load_suite

__all__ = ["Accuracy", "PairedComparison", "Suite", "accuracy", "compare_paired", "load_suite"]
