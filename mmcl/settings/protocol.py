"""Which clips train and which test."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmcl.settings.base import OFF, Items, Section, Seed, Text

Numbers = Annotated[Items[Seed | Text], Field(min_length=1)] | Literal["odd", "even"]

SIDE = "Subjects, numbers or texts, or numbers of cameras or setups, as a list, or odd, or even."


class RandomHalves(Section):
    """Random halves, drawn anew for each fold; a benchmark names fold k as name/k."""

    of: Literal["clips_per_class", "subjects"] = Field(
        description="Of what one half trains, the clips of every class or the subjects."
    )
    folds: int = Field(ge=1, le=999, description="How many folds there are.")


class Folds(Section):
    """k-fold cross-validation; a benchmark names fold f as name/f, in which the f-th part of the clips tests."""

    k: Annotated[int, Field(ge=2, le=999)] | Literal["all"] = Field(
        description="How many folds; all for one fold for each subject."
    )
    of: Annotated[Literal["subjects", "clips_per_class"] | None, OFF] = Field(
        None,
        description="What is dealt out to the folds: subjects, or the clips of every class; left out, subjects where "
        "the data set names them all.",
    )

    @model_validator(mode="after")
    def _all_are_subjects(self) -> "Folds":
        if self.k == "all" and self.of == "clips_per_class":
            raise ValueError("k: all is one fold for each subject, so of: subjects")
        return self


class Rule(Section):
    """Which clips train and which test; a clip that is not covered does neither."""

    source: Annotated[str, OFF] = Field("", description="Where the rule comes from; for readers only.")
    by: Annotated[Literal["subject", "camera", "setup", "split"] | None, OFF] = Field(
        None, description="What decides; split is the data set's own assignment of each clip."
    )
    train: Annotated[Numbers | None, OFF] = Field(None, description=SIDE)
    test: Annotated[Numbers | None, OFF] = Field(None, description=SIDE)
    random: Annotated[RandomHalves | None, OFF] = Field(
        None,
        description="Random halves instead of `by`, drawn anew for each fold; a benchmark names fold k as name/k.",
    )

    folds: Annotated[Folds | None, OFF] = Field(
        None, description="k-fold cross-validation instead of `by`; a benchmark names fold f as name/f."
    )

    @property
    def fold_count(self) -> int | None:
        """How many folds there are, 1 without any; None for one fold for each subject."""
        if self.random:
            return self.random.folds
        if self.folds:
            return None if self.folds.k == "all" else self.folds.k
        return 1

    @model_validator(mode="after")
    def _one_kind(self) -> "Rule":
        if sum(kind is not None for kind in (self.by, self.random, self.folds)) != 1:
            raise ValueError("needs one of by, random and folds")
        by_number = self.by not in (None, "split")
        for side in ("train", "test"):
            there = getattr(self, side) is not None
            if by_number and not there:
                raise ValueError(f"the key {side!r} is missing")
            if there and not by_number:
                raise ValueError(f"{side}: goes with by: subject, camera or setup alone")
        if self.train is not None and self.test is not None:
            # 1 and 2 stand for all the odd and even numbers
            numbers = {
                1,
                2,
                *(n for side in (self.train, self.test) if not isinstance(side, str) for n in side),
            }
            both = [n for n in numbers if is_among(n, self.train) and is_among(n, self.test)]
            if both:
                raise ValueError(f"test: {self.by} {max(both)} is among train too")
        return self


def is_among(number: int | str, numbers: "tuple[int | str, ...] | str") -> bool:
    """Whether a number or text is one of `numbers`: a list, `odd` or `even`.

    Neither a text nor 0, which is unknown, is odd or even. A text equals the number that it spells.
    """
    if isinstance(numbers, str):
        return not isinstance(number, str) and number != 0 and number % 2 == (numbers == "odd")
    return number in numbers or (isinstance(number, str) and number in map(str, numbers))


class Exclusion(Section):
    """A list of clips that take no part."""

    file: Text = Field(
        description="Path from the working directory or, if nothing is there, from the project."
    )
    sha256: str = Field(description="Of its sorted names.")


class SelectionSettings(Section):
    """What decides which clips train and test."""

    protocol: Text = Field(
        description="A published protocol, or one of `protocols`; `name/fold` for random halves."
    )
    rule: Annotated[Rule | None, OFF] = Field(
        None, description="The protocol's rule, if it is not a published one."
    )
    exclude: Annotated[Exclusion | None, OFF] = Field(None, description="Clips that neither train nor test.")
