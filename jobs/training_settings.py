"""The settings of training, and of how its ranks are started."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from jobs.section import PositiveInt, Section, WholeNumber


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


class TrainSettings(LaunchSettings):
    factors: PositiveInt
    """Length of a user's and a movie's embedding."""
    biases: bool
    """Learn a bias per user and per movie around the mean rating."""
    init_scale: Annotated[float, Field(gt=0)]
    """Embeddings start uniform in (-init_scale, init_scale)."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of factors left out of each rating's product while learning."""
    loss: Literal["mse", "huber"]
    """Squared error, or squared up to huber_delta and linear beyond."""
    huber_delta: Annotated[float, Field(gt=0)]
    """With loss huber: the error, in stars, from which it grows linearly."""
    regularisation: Annotated[float, Field(ge=0)]
    """L2 penalty per rating on the embeddings and biases that the rating touches."""
    user_regularisation: Annotated[float, Field(ge=0)] | None
    """The same for users' embeddings alone; null is as regularisation."""
    movie_regularisation: Annotated[float, Field(ge=0)] | None
    """The same for movies' embeddings alone; null is as regularisation."""
    bias_regularisation: Annotated[float, Field(ge=0)] | None
    """The same for biases alone; null is as regularisation."""
    optimiser: Literal["adam", "adamax", "adagrad", "sgd"]
    """Rule by which gradients move the weights."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Step size of the optimiser. A step's gradient is that of the mean over its ratings of all
    ranks, so that more ranks need no other rate."""
    schedule: Literal["constant", "step", "cosine", "plateau"]
    """How the learning rate falls: not; times decay every decay_epochs; along a cosine to decay
    times its start over all epochs; times decay after decay_epochs without a gain."""
    decay: Annotated[float, Field(gt=0, le=1)]
    """Factor by which the schedule lowers the learning rate."""
    decay_epochs: PositiveInt
    """With schedule step or plateau: epochs between two cuts."""
    warmup_epochs: Annotated[float, Field(ge=0)]
    """The learning rate rises from 0 over so many epochs, or a part of one."""
    batch_size: PositiveInt
    """Ratings per optimiser step, over all ranks together."""
    epochs: PositiveInt
    """Most passes over the training ratings."""
    patience: PositiveInt
    """Stop after this many epochs without a better validation loss."""
    seed: WholeNumber
    """Seed of the initial weights and of the order of rows."""
    warm_start: bool
    """Start the users and movies that the champion knows from its weights, the others anew."""
    gradients: Literal["auto", "dense", "sparse"]
    """Whether a step moves the whole table of embeddings or the rows that it touches, which alone
    the ranks then exchange; auto is by the table's size. For adam and adamax the two differ a
    little: see model/optimisers.py."""
    compression: Literal["none", "fp16", "bf16"]
    """Precision of the gradients that ranks exchange; none is float32."""
    precision: Literal["float32", "bf16"]
    """Precision of scores and gradients; weights and their sums are always float32."""
    reading: Literal["auto", "memory", "stream"]
    """Each rank's ratings read once into memory, or from Parquet in every epoch."""
    memory_rows: PositiveInt
    """With reading auto, most ratings that a rank holds in memory, at some 30 bytes each while
    reading; with stream, those in its shuffling queue."""
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    """A checkpoint is written when so long has passed; 0 writes one whenever ranks look up."""

    @model_validator(mode="after")
    def every_rank_has_work(self) -> TrainSettings:
        if self.batch_size < self.ranks:
            raise ValueError(
                f"a batch of {self.batch_size} ratings cannot be shared by {self.ranks} ranks"
            )
        return self

    def of_the_model(self) -> dict[str, Any]:
        """The settings that the training loop follows; the others are for whoever starts it."""
        launching = {*LaunchSettings.model_fields, "warm_start"}
        return self.model_dump(exclude=launching)
