"""What a search may draw is what a setting may be, and what conf has is among it."""

import pytest

from jobs.runs.configuration import load_configuration
from jobs.runs.settings.whole import with_models
from model.family import FAMILY, load
from model.space import Between, OneOf
from tests.model.conftest import BASE

SPACES = {name: getattr(load(name), "space", {}) for name in FAMILY}


@pytest.mark.parametrize("model", [name for name, space in SPACES.items() if space])
def test_a_space_holds_what_conf_has(model):
    for name, values in SPACES[model].items():
        assert values.holds(BASE[model][name]), name
        if isinstance(values, Between):
            assert values.low < values.high
            assert values.low > 0 or not values.log


def test_all_that_may_be_drawn_is_allowed():
    form = with_models()
    ends = [
        [f"train.{model}.{name}={str(value).lower()}" for value in ends_of(values)]
        for model, space in SPACES.items()
        for name, values in space.items()
    ]
    for place in range(max(map(len, ends))):
        load_configuration([own[min(place, len(own) - 1)] for own in ends], form=form)


def ends_of(values):
    return values.values if isinstance(values, OneOf) else (values.low, values.high)


def test_a_truth_is_no_number():
    assert not Between(0, 1).holds(True)
    assert Between(1.0, 2.0).holds(2)
    assert not OneOf((1, 2)).holds(3)
