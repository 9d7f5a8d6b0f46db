"""Settings of what learns, when, and how it is measured."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from jobs.runs.settings.section import PositiveInt, Section, WholeNumber
from model.family import FAMILY, ORDER_MODELS, RATING_MODELS
from model.settings import SHARED

# What a model may start from; see `start_from` in model/settings.py.
START = r"text|[A-Za-z0-9][A-Za-z0-9_-]*/((rating|order)/)?[1-9][0-9]*"
NO_INTERFACE = (
    "hosts and discovery_script need the network interface by which the hosts reach one another, "
    "as in horovodrun_options=[--network-interfaces, eth0]: ranks and horovodrun listen there alone"
)


class LaunchSettings(Section):
    """Where and how the ranks run; they change no model but by the order of rows."""

    launcher: Literal["auto", "process", "horovodrun", "spark"]
    """process: one rank in the job's own process; horovodrun: this host, or `hosts`; spark: each
    rank in a task of Spark; auto: process for one rank, else horovodrun."""
    ranks: PositiveInt
    """Horovod processes."""
    hosts: Annotated[str, Field(pattern=r"^[^\s:,]+:[1-9]\d*(,[^\s:,]+:[1-9]\d*)*$")] | None
    """Hosts for horovodrun with so many ranks each, as in host1:2,host2:2. They are reached by ssh
    without a password, and see checkout, environment and warehouse at the same paths as this one.
    null: this host alone."""
    horovodrun_options: list[str]
    """Further options of horovodrun, as in [--ssh-port, "2222", --network-interfaces, eth0]."""
    elastic: bool
    """With horovodrun: when a rank dies or joins, go on from the last commit."""
    min_ranks: PositiveInt | None
    """With elastic: fewest ranks that go on; null: 1."""
    max_ranks: PositiveInt | None
    """With elastic: most ranks; null: as many as `ranks`."""
    discovery_script: str | None
    """With elastic: a command that prints the hosts of the moment, a line host:ranks each; hosts
    that it adds join. null: `hosts`, or this host."""

    @model_validator(mode="after")
    def launchable(self) -> LaunchSettings:
        starts = "horovodrun" if self.launcher == "auto" else self.launcher
        if starts == "process" and self.ranks > 1:
            raise ValueError(f"launcher process runs one rank, and ranks is {self.ranks}")
        if starts != "horovodrun":
            for name in ("hosts", "elastic"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs launcher horovodrun, not {self.launcher}")
        slots = sum(int(host.split(":")[1]) for host in self.hosts.split(",")) if self.hosts else 0
        if slots and slots < self.ranks:
            raise ValueError(f"{self.ranks} ranks, and room for {slots} of them on {self.hosts}")
        if not self.elastic and (self.min_ranks or self.max_ranks or self.discovery_script):
            raise ValueError("min_ranks, max_ranks and discovery_script need elastic")
        if not (self.min_ranks or 1) <= self.ranks <= (self.max_ranks or self.ranks):
            raise ValueError("expected min_ranks <= ranks <= max_ranks")
        return self

    @property
    def lacks_interface(self) -> bool:
        """Whether hosts are to reach one another by an interface that nobody has named."""
        elsewhere = self.hosts or self.discovery_script
        named = any("--network-interface" in option for option in self.horovodrun_options)
        return bool(elsewhere) and not named


class OrderSettings(Section):
    """The second model of a night, which orders what the first one rates."""

    model: Literal["none", *ORDER_MODELS]  # type: ignore[valid-type]
    """Which model of the family learns what a user will want next, and orders movies by it; its
    settings stand in the section of its name. none: they are ordered by predicted rating."""


class TrainSettings(LaunchSettings):
    """Beside these it holds a section for each model of the family: see `Configuration`."""

    model: Literal[*RATING_MODELS]  # type: ignore[valid-type]
    """Which model of the family predicts ratings; its settings stand in the section of its name."""
    # Runs that were started before there was such a model can still be read.
    order: OrderSettings = OrderSettings(model="none")
    seed: WholeNumber
    """Seed of the initial weights and of the order of rows."""
    warm_start: bool
    """Start the users and movies that the champion knows from its weights, the others anew."""
    # Runs that were started before there was this setting can still be read.
    refit: bool = False
    """Once evaluate has measured it on ratings held back, what scores learns once more, from all of
    them, as long as validation has said."""
    reading: Literal["auto", "memory", "stream"]
    """Each rank's ratings read once into memory, or from Parquet in every epoch."""
    memory_rows: PositiveInt
    """With reading auto, most ratings that a rank holds in memory, at some 30 bytes each while
    reading; with stream, those in its shuffling queue."""
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    """A checkpoint is written when so long has passed; 0 writes one whenever ranks look up."""

    @model_validator(mode="after")
    def every_rank_has_work(self) -> TrainSettings:
        for model in self.models():
            batch = self.of(model).get("batch_size", self.ranks)
            if isinstance(batch, int) and batch < self.ranks:
                raise ValueError(
                    f"a batch of {batch} ratings cannot be shared by {self.ranks} ranks"
                )
        return self

    @model_validator(mode="after")
    def starts_are_named(self) -> TrainSettings:
        for model in FAMILY:
            wanted = self.of(model).get("start_from")
            if wanted is not None and not re.fullmatch(START, str(wanted)):
                raise ValueError(
                    f"{model}.start_from is {wanted!r}, and expected is text, or a version of a "
                    "model of another release, as ml-25m/3, or of one objective, as ml-25m/order/3"
                )
        return self

    @model_validator(mode="after")
    def ranks_can_take_turns(self) -> TrainSettings:
        for model in self.models():
            if self.of(model).get("exchange") == "strata":
                for name, here in (
                    ("elastic", self.elastic),
                    ("reading=stream", self.reading == "stream"),
                ):
                    if here:
                        raise ValueError(f"{model}.exchange=strata does not go with {name}")
        return self

    def models(self) -> list[str]:
        """Those that a night trains: of ratings, and of order where there is one."""
        return [self.model] + [self.order.model] * (self.order.model != "none")

    def of(self, model: str) -> dict[str, Any]:
        """The settings of a model of the family, as its class `Settings` takes them."""
        return dict(getattr(self, model))

    def learning(self, model: str) -> dict[str, Any]:
        """What decides the outcome: a model's own settings, and those that all share.

        Of a model that is made of others also theirs, under `sections`.
        """
        own = self.of(model) | self.model_dump(include=set(SHARED))
        members = own.get("members", [])
        return own | ({"sections": {name: self.of(name) for name in members}} if members else {})

    def tracked(self, model: str) -> dict[str, Any]:
        """All settings but those of other models, by name."""
        common = self.model_dump(exclude={*FAMILY, "order"})
        return common | {"model": model} | self.of(model)


class AskedTrainSettings(TrainSettings):
    """Settings as they are asked for today; those of an earlier run may still be read."""

    @model_validator(mode="after")
    def names_interface(self) -> AskedTrainSettings:
        if self.lacks_interface:
            raise ValueError(NO_INTERFACE)
        return self


class RetrainSettings(Section):
    policy: Literal["always", "weekly", "new-ratings", "never"]
    """When a nightly run trains; in the others, and until a better model, the champion scores."""
    new_ratings_share: Annotated[float, Field(gt=0)]
    """With new-ratings: by what share the ratings must have grown since the champion's."""


class EvaluateSettings(Section):
    # Runs that were started before there were these settings can still be read.
    coverage_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A model of order replaces the champion only if its lists name at least this share of the
    number of movies that the champion's do."""
