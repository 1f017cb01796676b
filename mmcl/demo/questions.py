"""The questions that the demo's vision-language model is trained on, and the true answers."""

from collections.abc import Callable
from dataclasses import dataclass

from mmcl.demo.objects import KINDS
from mmcl.demo.pictures import Facts

INSTRUCTION = "whether the people are holding objects?"

DOING = {
    1: "drinking", 2: "eating", 8: "sitting down", 9: "standing up", 23: "waving", 28: "calling",
    29: "tapping", 50: "punching", 58: "shaking hands", 63: "shooting", 80: "squatting", 96: "crossing arms",
}  # fmt: skip
"""NTU number → answer to "what are the people doing?", two words at most."""


@dataclass(frozen=True)
class Question:
    """A question about a picture, in several wordings."""

    wordings: tuple[str, ...]
    answer: Callable[[Facts], str]
    share: float
    """Probability per step that it is asked in training."""


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _holding(kind: str) -> Question:
    wordings = (
        f"whether the people are holding a {kind}?",
        f"is the person holding a {kind}?",
        f"is there a {kind} in the picture?",
        f"do the people have a {kind} in the hand?",
    )
    return Question(wordings, lambda facts: _yes(facts.object == kind), 0.1)


QUESTIONS: dict[str, Question] = {
    "holding": Question(
        (
            INSTRUCTION,
            "whether the person is holding an object?",
            "whether the person are holding object?",
            "are the people holding objects?",
            "is the person holding something?",
            "do the people have something in their hands?",
        ),
        lambda facts: _yes(facts.object != "none"),
        1.0,
    ),
    "object": Question(
        (
            "what are the people holding?",
            "what is the person holding?",
            "what is in the hand of the person?",
            "which object do the people hold?",
        ),
        lambda facts: "nothing" if facts.object == "none" else facts.object,
        1.0,
    ),
    "doing": Question(
        ("what are the people doing?", "what is the person doing?", "which action is this?"),
        lambda facts: DOING[facts.action],
        0.6,
    ),
    "count": Question(
        ("how many people are there?", "how many persons are in the picture?"),
        lambda facts: ("one", "two")[facts.persons - 1],
        0.3,
    ),
    "touching head": Question(
        (
            "whether the hands are touching head?",
            "whether the hands are touching the head?",
            "is a hand at the head of the person?",
        ),
        lambda facts: _yes(facts.hand_at_head),
        0.4,
    ),
    "touching foot": Question(
        ("whether the hands are touching foot?", "are the hands touching the feet?"),
        lambda facts: _yes(facts.hand_at_foot),
        0.05,
    ),
    "sitting": Question(
        ("whether the people are sitting?", "is the person sitting on a chair?", "is there a chair?"),
        lambda facts: _yes(facts.action in (8, 9)),
        0.3,
    ),
    "two people": Question(
        ("whether there are two people?", "are there two people in the picture?"),
        lambda facts: _yes(facts.persons == 2),
        0.1,
    ),
    **{f"holding {kind}": _holding(kind) for kind in KINDS[1:]},
}


def vocabulary_texts() -> list[str]:
    """Every wording and every answer."""
    wordings = [wording for question in QUESTIONS.values() for wording in question.wordings]
    return [*wordings, "yes no nothing one two", *KINDS, *DOING.values()]
