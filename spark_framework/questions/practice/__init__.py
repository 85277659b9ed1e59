"""Generated multiple-choice questions in MMLU-Pro's format, each with several tools that solve it."""

from .generator import PracticeConfig, PracticeQuestions

__all__ = ["PracticeConfig", "PracticeQuestions"]
