"""What every section of settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Strict, because Python takes true for 1.
WholeNumber = Annotated[int, Field(strict=True)]
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A group of settings: unknown keys are refused, and a field's docstring describes it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
