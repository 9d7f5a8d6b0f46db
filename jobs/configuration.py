"""The settings of a run: typed classes, and the YAML files that fill them.

Layers, each laid over the one before: conf/base.yaml, conf/<environment>.yaml, one profile from
conf/profiles, then `--set section.key=value` from the command line. A wrong key or value stops the
job before anything is written, naming the layer, the key, what was found and what is allowed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.errors import JobError

Release = Literal[
    "sample",
    "ml-100k",
    "ml-1m",
    "ml-10m",
    "ml-20m",
    "ml-25m",
    "ml-32m",
    "ml-latest",
    "ml-latest-small",
]
RELEASES: tuple[str, ...] = get_args(Release)
# Strict, because Python takes true for 1.
WholeNumber = Annotated[int, Field(strict=True)]
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A group of settings: unknown keys are refused, and a field's docstring describes it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class IngestSettings(Section):
    dataset: Release
    """Which release of MovieLens; `sample` is generated, needing no download."""
    source: str | None
    """A local zip or folder, or a URL; null takes the release from GroupLens."""
    max_unpacked_gib: Annotated[float, Field(gt=0)]
    """A delivery that unpacks to more than this is refused."""


class EtlSettings(Section):
    split: Literal["random", "stratified", "leave-last-out", "time", "folds", "given"]
    """How ratings are dealt to train, validation and test: by hash; by hash within each rating
    value; each user's last two out; by global cuts in time; one of `folds` folds; as ml-100k gives
    them. leave-last-out and folds do not use the shares."""
    train_share: Share
    """Share of ratings to learn from."""
    validation_share: Share
    """Share of ratings on which settings and the best epoch are chosen."""
    test_share: Share
    """Share of ratings on which the result is reported, once; `given` has its own."""
    split_seed: WholeNumber
    """Seed of the hash that deals each (user, movie) pair to a split."""
    folds: Annotated[int, Field(ge=3, strict=True)]
    """With split folds: how many there are, dealt by hash."""
    fold: PositiveInt
    """With split folds: which one, from 1, is test; the one after it is validation."""
    given: Literal["u1", "u2", "u3", "u4", "u5", "ua", "ub"] | None
    """With split given: u1 takes the rows of u1.test for test; validation is dealt from the others
    in the proportion of validation_share to train_share."""
    row_group_rows: PositiveInt
    """Rows of training data per Parquet row group, the unit that ranks share out."""
    min_row_groups: PositiveInt
    """Fewest row groups of training data: at least ranks x reader workers."""

    @model_validator(mode="after")
    def shares_add_up(self) -> EtlSettings:
        total = self.train_share + self.validation_share + self.test_share
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test shares add up to {total:g}, not to 1")
        return self

    @model_validator(mode="after")
    def the_part_exists(self) -> EtlSettings:
        if self.fold > self.folds:
            raise ValueError(f"fold {self.fold} does not exist: there are {self.folds} folds")
        if self.split == "given" and self.given is None:
            raise ValueError("split given needs etl.given, as in etl.given=u1")
        return self


class TrainSettings(Section):
    ranks: PositiveInt
    """Horovod processes; 1 trains without horovodrun."""
    factors: PositiveInt
    """Length of a user's and a movie's embedding."""
    biases: bool
    """Learn a bias per user and per movie around the mean rating."""
    init_scale: Annotated[float, Field(gt=0)]
    """Embeddings start uniform in (-init_scale, init_scale)."""
    regularisation: Annotated[float, Field(ge=0)]
    """L2 penalty per rating on the embeddings and biases that the rating touches."""
    optimiser: Literal["adam", "adamax", "sgd"]
    """Rule by which gradients move the weights."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Step size of the optimiser."""
    batch_size: PositiveInt
    """Ratings per optimiser step, over all ranks together."""
    epochs: PositiveInt
    """Most passes over the training ratings."""
    patience: PositiveInt
    """Stop after this many epochs without a better validation loss."""
    seed: WholeNumber
    """Seed of the initial weights and of the order of rows."""

    @model_validator(mode="after")
    def every_rank_has_work(self) -> TrainSettings:
        if self.batch_size < self.ranks:
            raise ValueError(
                f"a batch of {self.batch_size} ratings cannot be shared by {self.ranks} ranks"
            )
        return self


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
    champion_tolerance: Annotated[float, Field(ge=0)]
    """By how much RMSE a new version may be worse than the champion and still replace it."""


class ScoreSettings(Section):
    top_k: PositiveInt | Literal["all"]
    """Recommendations per user; `all` writes every scored pair."""
    users_per_block: PositiveInt
    """Users scored together: a task holds users_per_block x movies scores of 4 bytes."""


class PublishSettings(Section):
    postgresql: str | None
    """Connection string of a PostgreSQL server that gets a copy of what is published; null: none.
    NIGHTREEL_POSTGRESQL goes before it. It may hold no password: settings are kept with the run."""

    @field_validator("postgresql")
    @classmethod
    def no_password(cls, dsn: str | None) -> str | None:
        if dsn and re.search(r"://[^/@]*:[^@]*@|\bpassword\s*=", dsn):
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


class Configuration(Section):
    """All settings of one run."""

    warehouse: str
    """Folder of everything that Nightreel writes; relative to the working folder."""
    ingest: IngestSettings
    etl: EtlSettings
    quality: QualitySettings
    retrain: RetrainSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    score: ScoreSettings
    publish: PublishSettings
    tracking: TrackingSettings


Layer = tuple[str, dict[str, Any]]


def conf_folder() -> Path:
    """conf/ of this checkout, or the folder that NIGHTREEL_CONF names."""
    default = Path(__file__).resolve().parent.parent / "conf"
    folder = Path(os.environ.get("NIGHTREEL_CONF", default))
    if not (folder / "base.yaml").is_file():
        raise JobError(
            f"No configuration: {folder}/base.yaml does not exist. "
            "Set NIGHTREEL_CONF to the folder that holds base.yaml."
        )
    return folder


def load_configuration(
    overrides: list[str] | None = None,
    profile: str | None = None,
    warehouse: str | None = None,
    folder: Path | None = None,
) -> Configuration:
    """Read, lay over one another and check all layers.

    `overrides` are strings "section.key=value", the value in YAML. Raises JobError for anything
    that is not allowed.
    """
    folder = folder or conf_folder()
    environment = os.environ.get("NIGHTREEL_ENV", "local")
    files = [folder / "base.yaml", folder / f"{environment}.yaml"]
    if profile:
        files.append(folder / "profiles" / f"{profile}.yaml")
    layers = [read_layer(file) for file in files]
    warehouse = warehouse or os.environ.get("NIGHTREEL_WAREHOUSE")
    if warehouse:
        layers.append(("--warehouse", {"warehouse": warehouse}))
    layers += [parse_override(override) for override in overrides or []]
    return validate(layers)


def postgresql_dsn(conf: Configuration) -> str | None:
    """Where published rows are copied to: NIGHTREEL_POSTGRESQL, else conf; None: nowhere."""
    return os.environ.get("NIGHTREEL_POSTGRESQL") or conf.publish.postgresql


def read_layer(file: Path) -> Layer:
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise JobError(f"{file} does not exist. There are: {known or 'no YAML files there'}.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise JobError(f"{file} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise JobError(f"{file} must hold keys and values, found {type(content).__name__}.")
    return str(file), content


def parse_override(override: str) -> Layer:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise JobError(f"--set {override}: expected section.key=value, as in score.top_k=10.")
    try:
        content: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise JobError(f"--set {override}: the value is not valid YAML: {error}") from None
    for part in reversed(key.strip().split(".")):
        content = {part: content}
    return f"--set {override}", content


def validate(layers: list[Layer]) -> Configuration:
    merged: dict[str, Any] = {}
    for _, content in layers:
        merged = merge(merged, content)
    try:
        return Configuration.model_validate(merged)
    except ValidationError as error:
        sentences = [explain(dict(detail), layers) for detail in error.errors()]
        raise JobError("\n".join(sentences)) from None


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, section by section."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        result[key] = merge(under, value) if both else value  # type: ignore[arg-type]
    return result


def explain(detail: dict[str, Any], layers: list[Layer]) -> str:
    """One sentence for one of pydantic's findings: where, which key, found what, allowed what."""
    # pydantic appends the names of a union's members to the path: they are no keys.
    path = [str(part) for part in detail["loc"] if str(part) in known_words()]
    if detail["type"] == "extra_forbidden":
        path = [str(part) for part in detail["loc"]]
    where = next((name for name, content in reversed(layers) if holds(content, path)), None)
    key = ".".join(path) or "the settings"
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(allowed_keys(path[:-1]))
        return f"{where}: unknown key {key}. Allowed here: {allowed}."
    if detail["type"] == "password":
        return f"{key} {detail['msg']}."
    if detail["type"] == "missing":
        return f"{layers[0][0]}: the key {key} is missing."
    return f"{where or layers[0][0]}: {key}: found {detail['input']!r}. {detail['msg']}."


def known_words() -> set[str]:
    words = set(Configuration.model_fields)
    for field in Configuration.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            words |= set(field.annotation.model_fields)
    return words


def holds(content: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def allowed_keys(path: list[str]) -> list[str]:
    section: Any = Configuration
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
