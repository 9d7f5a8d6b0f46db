"""All settings of a run, typed; the docstrings of the sections are their documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from pydantic import Field, create_model, model_validator

from jobs.runs.settings.cleaning import EtlSettings, QualitySettings
from jobs.runs.settings.comparing import CompareSettings, ReplaySettings
from jobs.runs.settings.delivery import IngestSettings
from jobs.runs.settings.publishing import PublishSettings, TrackingSettings
from jobs.runs.settings.scoring import ScoreSettings
from jobs.runs.settings.section import Section
from jobs.runs.settings.training import (
    AskedTrainSettings,
    EvaluateSettings,
    RetrainSettings,
    TrainSettings,
)
from model.family import FAMILY, load

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
    replay: ReplaySettings
    score: ScoreSettings
    publish: PublishSettings
    tracking: TrackingSettings

    @model_validator(mode="after")
    def nights_before_are_kept(self) -> Configuration:
        """Refuse to forget what is to be remembered, also when the newest date is scored again."""
        nights, kept = self.score.repeat_after, self.publish.keep_dates
        if kept is not None and nights >= kept:
            raise ValueError(
                f"score.repeat_after={nights} needs the lists of so many nights before, and "
                f"publish.keep_dates={kept} keeps too few: at least {nights + 1}, or null"
            )
        return self


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
