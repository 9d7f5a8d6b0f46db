"""Settings of etl: how ratings are dealt, and what a delivery may lack."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jobs.runs.settings.section import PositiveInt, Section, Share, WholeNumber


class EtlSettings(Section):
    split: Literal[
        "random", "stratified", "leave-last-out", "time", "folds", "kfold", "given", "position"
    ]
    """How ratings are dealt to train, validation and test: by hash; by hash within each rating
    value; each user's last two out; by global cuts in time; one of `folds` folds; one of
    scikit-learn's KFold over the file's order; as ml-100k gives them; by their place in the file
    after a shuffle, as pandas and Keras do. leave-last-out and folds do not use the shares."""
    train_share: Share
    """Share of ratings to learn from."""
    validation_share: Share
    """Share of ratings on which settings and the best epoch are chosen."""
    test_share: Annotated[float, Field(ge=0, lt=1)]
    """Share of ratings on which the result is reported, once; `given` and `kfold` have their
    own. `position` may do without: the result is then that on the validation ratings, and says
    so."""
    split_seed: WholeNumber
    """Seed of the hash that deals each (user, movie) pair to a split; with split position or
    kfold, of the shuffle."""
    folds: Annotated[int, Field(ge=3, strict=True)]
    """How many there are: with split folds dealt by hash, with kfold by KFold(folds, shuffle=True,
    random_state=split_seed)."""
    fold: PositiveInt
    """Which one, from 1, is test. Of folds, the one after it is validation; of kfold, what follows
    it in the shuffle, in the proportion of validation_share to train_share."""
    given: Literal["u1", "u2", "u3", "u4", "u5", "ua", "ub"] | None
    """With split given: u1 takes the rows of u1.test for test; validation is dealt from the others
    in the proportion of validation_share to train_share."""
    # Runs that were started before there were these settings can still be read.
    mode: Literal["incremental", "full"] = "incremental"
    """incremental: where ratings lie in folders of days, only what has come since an earlier run is
    cleaned, and the clean data of users without a new line is taken over from it, as long as
    nothing else has changed. full: all is cleaned anew. Tables are the same either way."""
    order_split: Literal["auto", "next-visit", "time", "leave-last-out"] = "auto"
    """How each user's history is dealt to train, validation and test of the measure of order. Of
    next-visit, a user's last visit is test and the one before it validation; time cuts as the
    shares say; of leave-last-out, the last rating is test. auto: next-visit where enough users
    have two dated visits, else time where ratings have one, else leave-last-out."""
    visit_gap_minutes: PositiveInt = 60
    """A visit ends where the next rating comes later than this."""
    row_group_rows: PositiveInt
    """Rows of training data per Parquet row group, the unit that ranks share out."""
    min_row_groups: PositiveInt
    """Fewest row groups of training data: at least ranks x reader workers."""

    @model_validator(mode="after")
    def shares_add_up(self) -> EtlSettings:
        total = self.train_share + self.validation_share + self.test_share
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test shares add up to {total:g}, not to 1")
        if not self.test_share and self.split != "position":
            raise ValueError(
                f"split {self.split} needs test ratings: test_share may be 0 with position alone"
            )
        return self

    @model_validator(mode="after")
    def the_part_exists(self) -> EtlSettings:
        if self.fold > self.folds:
            raise ValueError(f"fold {self.fold} does not exist: there are {self.folds} folds")
        if self.split == "given" and self.given is None:
            raise ValueError("split given needs etl.given, as in etl.given=u1")
        if self.split in ("position", "kfold") and not 0 <= self.split_seed < 2**32:
            raise ValueError(f"split {self.split} needs a split_seed from 0 to 4294967295")
        return self

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there must be ratings in; errors are reported on the last of them."""
        return ("train", "validation", "test")[: 3 if self.test_share else 2]


class QualitySettings(Section):
    max_quarantined_share: Annotated[float, Field(ge=0, le=1)]
    """Most lines of ratings that could not be used, as a share of all."""
    max_duplicate_share: Annotated[float, Field(ge=0, le=1)]
    """Most ratings that a newer one of the same user and movie replaced."""
    max_unknown_movie_share: Annotated[float, Field(ge=0, le=1)]
    """Most ratings of movies that the release does not name."""
    max_unknown_user_share: Annotated[float, Field(ge=0, le=1)]
    """Most ratings by users that the release does not describe, where it describes users."""
    max_undated_share: Annotated[float, Field(ge=0, le=1)]
    """Most ratings without a time."""
    min_share_of_previous: Annotated[float, Field(ge=0)]
    """Fewest ratings, as a share of those of the release's newest published run."""
