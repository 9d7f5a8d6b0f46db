"""Settings of every run, typed; the docstrings are their documentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.runs.addresses import checked_uri, is_object_uri, without_secrets
from model.family import FAMILY, ORDER_MODELS, RATING_MODELS, load
from model.settings import SHARED

# Strict, because Python takes true for 1.
WholeNumber = Annotated[int, Field(strict=True)]
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A group of settings: unknown keys are refused, and a field's docstring describes it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


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


RELEASES = (
    "sample",
    "ml-100k",
    "ml-1m",
    "ml-10m",
    "ml-20m",
    "ml-25m",
    "ml-32m",
    "ml-latest",
    "ml-latest-small",
)
# In Spark's letters: what a date or a time of day is written with.
TIME_PATTERN = (
    r"^(seconds|milliseconds|microseconds|dates|(yyyy|yy|MMM|MM|M|dd|d|HH|H"
    r"|mm|m|ss|s|S{1,6}|'T'|[-./:, ])+)$"
)
Column = PositiveInt | Annotated[str, Field(min_length=1)]


class ColumnSettings(Section):
    """What the columns of own files are called in their first line, or their numbers, from 1.

    null: by the usual names, or in the order user, movie, rating, time where there are no names, of
    titles movie, title, genres.
    """

    user: Column | None = None
    movie: Column | None = None
    """Also of a file of titles, if it has a column of that name."""
    rating: Column | None = None
    time: Column | None = None
    title: Column | None = None
    genres: Column | None = None
    """Names with | between them, as in Comedy|Drama."""


class IngestSettings(Section):
    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    """Which release of MovieLens; `sample` is generated, needing no download. Any other name is
    that of ratings of your own, and needs a source: docs/your-own-data.md."""
    source: str | None
    """A local zip, file or folder, or the address of one on the web or in an object store, as in
    s3://bucket/ml-1m.zip; null takes the release from GroupLens. It may hold no credentials:
    NIGHTREEL_SOURCE has the same address with them."""
    max_unpacked_gib: Annotated[float, Field(gt=0)]
    """A delivery that unpacks to more than this is refused."""
    # Runs that were started before there were these settings can still be read.
    max_download_gib: Annotated[float, Field(gt=0)] = 4
    """A file that is larger than this is not downloaded."""
    columns: ColumnSettings = ColumnSettings()
    """Of own files."""
    separator: Annotated[str, Field(pattern=r"^([\t;|, :]|::)$")] | None = None
    """What stands between the fields of own files; null: what cuts most lines alike."""
    time: Annotated[str, Field(pattern=TIME_PATTERN)] | None = None
    """How own files write times: in seconds, milliseconds or microseconds since 1970; as dates,
    2018-01-17 with or without a time of day; or as a pattern of Spark, as in dd.MM.yyyy. null: as
    most of them look."""
    rating_scale: tuple[float, float] | None = None
    """The lowest and the highest rating of own files: others go to quarantine. null: those that
    there are."""

    @field_validator("source")
    @classmethod
    def holds_no_credentials(cls, source: str | None) -> str | None:
        if source and is_object_uri(source):
            return checked_uri(source)
        return without_secrets(source) if source else source

    @model_validator(mode="after")
    def can_be_read(self) -> IngestSettings:
        if self.dataset not in RELEASES and not self.source:
            raise ValueError(
                f"dataset {self.dataset} is no release of MovieLens, so it needs a source: the "
                f"file, folder or address of your own ratings. Releases: {', '.join(RELEASES)}"
            )
        if self.rating_scale and not self.rating_scale[0] < self.rating_scale[1]:
            raise ValueError("rating_scale needs the lowest rating first, and then a higher one")
        return self

    @property
    def describes_files(self) -> bool:
        """Whether it says how own files are written, so that none of GroupLens's are meant."""
        said = (self.separator, self.time, self.rating_scale)
        return any(said) or self.columns != ColumnSettings()


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


class CompareSettings(Section):
    members: Annotated[list[str], Field(min_length=1)]
    """Models of the family that `nightreel compare` trains, of ratings and of order."""
    seeds: Annotated[list[PositiveInt], Field(min_length=1)]
    """Each member is trained once from each."""
    minutes: Annotated[float, Field(gt=0)] | None
    """The most that one training may take, else it is left out; null: whatever it takes."""

    @field_validator("members")
    @classmethod
    def are_known(cls, members: list[str]) -> list[str]:
        if unknown := sorted(set(members) - set(FAMILY)):
            raise ValueError(f"there is no model {unknown[0]}, but: {', '.join(FAMILY)}")
        return list(dict.fromkeys(members))

    @field_validator("seeds")
    @classmethod
    def once_each(cls, seeds: list[int]) -> list[int]:
        return list(dict.fromkeys(seeds))


class ScoreSettings(Section):
    top_k: PositiveInt | Literal["all"]
    """Recommendations per user; `all` writes every scored pair."""
    device: Literal["auto", "cpu", "cuda"]
    """What scores: GPUs where there are some, processor cores, or GPUs and nothing else."""
    mode: Literal["full", "incremental"]
    """`incremental` takes over the rows of users for whom nothing has changed since the newest
    published run; the result is that of `full`."""
    order_by: Literal["preference", "rating"] = "preference"
    """By what movies are ordered: what the user will want next, as the model of order says, where
    there is one; or the predicted rating."""
    damping: Annotated[float, Field(ge=0)]
    """With the order by predicted rating: training ratings at which a movie's prediction counts by
    half in the order of movies; 0 orders by predicted rating alone."""
    # Runs that were started before there were these settings can still be read.
    lower_bound: Annotated[float, Field(ge=0)] | None = None
    """With the order by predicted rating: movies are ordered by the prediction less so many
    standard deviations of the rating, and damping does nothing; null: as damping says. Needs a
    model that knows deviations, as bayesian."""
    uncertainty: bool = False
    """Whether the table says of each predicted rating how far off it may be (`rating_sd`). Needs a
    model that knows it, as bayesian."""
    similar: Annotated[int, Field(ge=0, strict=True)] = 20
    """Similar movies of each movie, for the table similar_movies; 0 for none."""
    genres_in: list[str]
    """Only movies of one of these genres; [] for all."""
    genres_out: list[str]
    """No movie of one of these genres."""
    year_from: int | None
    """Only movies released in this year or later; those without a year are left out."""
    year_to: int | None
    """Only movies released in this year or earlier; those without a year are left out."""
    min_ratings: Annotated[int, Field(ge=0, strict=True)]
    """Only movies with this many ratings, of all splits, in the run's data."""
    block_list: list[PositiveInt] | str
    """Ids of movies that nobody is recommended; or a CSV or Parquet file with a column movie_id."""
    candidates: str | None
    """A CSV or Parquet file with columns user_id and movie_id: the users in it are recommended
    movies of their own list only, all others whatever the other settings leave."""

    @model_validator(mode="after")
    def some_movie_can_pass(self) -> ScoreSettings:
        if both := sorted(set(self.genres_in) & set(self.genres_out)):
            raise ValueError(f"{', '.join(both)} stands in both genres_in and genres_out")
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise ValueError(f"no year lies from {self.year_from} to {self.year_to}")
        return self


class PublishSettings(Section):
    postgresql: str | None
    """Connection string of a PostgreSQL server that gets a copy of what is published; null: none.
    NIGHTREEL_POSTGRESQL goes before it. It may hold no password: settings are kept with the run."""
    # Runs that were started before there were these settings can still be read.
    keep_dates: PositiveInt | None = None
    """Dates that stay in recommendations, the newest: `nightreel cleanup` takes older ones out,
    there and in PostgreSQL; null: all stay."""
    object_store: str | None = None
    """Address in an object store, as in s3://bucket/folder, that gets a copy of the published Delta
    tables; null: none. Credentials come from the environment."""

    @field_validator("object_store")
    @classmethod
    def names_a_store(cls, uri: str | None) -> str | None:
        return checked_uri(uri) if uri else None

    @field_validator("postgresql")
    @classmethod
    def no_password(cls, dsn: str | None) -> str | None:
        if dsn and re.search(r"://[^/@]*:[^@]*@|password\s*=", dsn):
            # Of this type, the message repeats nothing of what was found.
            raise PydanticCustomError(
                "password",
                "holds a password. Leave it out here, and give it by PGPASSWORD, ~/.pgpass or "
                "NIGHTREEL_POSTGRESQL",
            )
        return dsn


class TrackingSettings(Section):
    uri: str | None
    """MLflow server; null keeps runs in <warehouse>/mlflow.db."""

    @field_validator("uri")
    @classmethod
    def holds_no_credentials(cls, uri: str | None) -> str | None:
        return without_secrets(uri) if uri else uri


class AskedTrainSettings(TrainSettings):
    """Settings as they are asked for today; those of an earlier run may still be read."""

    @model_validator(mode="after")
    def names_interface(self) -> AskedTrainSettings:
        if self.lacks_interface:
            raise ValueError(NO_INTERFACE)
        return self


# The sections `train.<model>`, one for each of the family. What may stand in one is known to the
# model's file, which imports torch: `with_models` asks it.
WithFamily = create_model(
    "TrainSettings",
    __base__=TrainSettings,
    **{name: (dict[str, Any], ...) for name in FAMILY},  # type: ignore[call-overload]
)


class Configuration(Section):
    """All settings of one run."""

    warehouse: str
    """Folder of everything that Nightreel writes; relative to the working folder."""
    ingest: IngestSettings
    etl: EtlSettings
    quality: QualitySettings
    retrain: RetrainSettings
    if TYPE_CHECKING:
        train: TrainSettings
    else:
        train: WithFamily
    evaluate: EvaluateSettings
    compare: CompareSettings
    score: ScoreSettings
    publish: PublishSettings
    tracking: TrackingSettings


def with_models() -> type[Configuration]:
    """`Configuration` whose sections `train.<model>` are checked too, by the models' own types."""
    sections: dict[str, Any] = {}
    for name in FAMILY:
        hints = get_type_hints(load(name).Settings, include_extras=True)
        fields: dict[str, Any] = {field: (counting(hint), ...) for field, hint in hints.items()}
        sections[name] = (create_model(name, __base__=Section, **fields), ...)
    train: Any = create_model("TrainSettings", __base__=AskedTrainSettings, **sections)
    return create_model("Configuration", __base__=Configuration, train=(train, ...))


def counting(hint: Any) -> Any:
    """The type of a model's setting; a whole number is strict, because Python takes true for 1."""
    return Annotated[hint, Field(strict=True)] if int in (hint, *get_args(hint)) else hint
