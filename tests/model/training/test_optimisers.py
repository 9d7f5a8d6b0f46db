"""Moving rows: torch's own optimisers are the judges."""

import numpy as np
import pytest
import torch

from model.training import optimisers
from model.training.exchange import Exchange, sum_rows
from model.training.optimisers import DenseOptimiser, RowOptimiser, gradients_of, make_optimiser
from tests.model.conftest import settings

OPTIMISERS = ["adam", "adamax", "adagrad", "sgd"]


def steps(count: int, rows: int, every_row: bool = False):
    """Touched rows with repeats, and their gradients."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(count):
        row_C = torch.randint(rows, (12,), generator=generator)
        if every_row:
            row_C = torch.cat([row_C, torch.arange(rows)])
        yield row_C, torch.randn(len(row_C), 5, generator=generator)


def move(kind, optimiser: str, every_row: bool) -> torch.Tensor:
    table = torch.nn.Parameter(torch.linspace(-1, 1, 50).view(10, 5).clone())
    chosen = kind(table, settings(optimiser=optimiser), Exchange("none"))
    for row_C, gradient_CW in steps(6, 10, every_row):
        chosen.step(*sum_rows(row_C, gradient_CW), 0.05)
    return table.detach()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_rows_move_like_the_whole_table_when_every_row_is_touched(optimiser, monkeypatch):
    monkeypatch.setattr(optimisers, "ROWS_IN_CACHE", 4)
    rows, whole = (move(kind, optimiser, True) for kind in (RowOptimiser, DenseOptimiser))
    torch.testing.assert_close(rows, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("optimiser", ["adagrad", "sgd"])
def test_without_momentum_untouched_rows_stand_still_either_way(optimiser):
    rows, whole = (move(kind, optimiser, False) for kind in (RowOptimiser, DenseOptimiser))
    torch.testing.assert_close(rows, whole, atol=1e-5, rtol=1e-5)


def test_lazy_adam_is_torchs_sparse_adam():
    ours = move(RowOptimiser, "adam", False)
    table = torch.nn.Parameter(torch.linspace(-1, 1, 50).view(10, 5).clone())
    peer = torch.optim.SparseAdam([table], lr=0.05)
    for row_C, gradient_CW in steps(6, 10):
        table.grad = torch.sparse_coo_tensor(row_C[None], gradient_CW, table.shape)
        peer.step()
    torch.testing.assert_close(ours, table.detach(), atol=1e-5, rtol=1e-5)


def test_sums_of_repeated_rows():
    rows, sums = sum_rows(torch.tensor([4, 1, 4]), torch.tensor([[1.0], [2.0], [3.0]]))
    assert rows.tolist() == [1, 4]
    assert sums.tolist() == [[2.0], [4.0]]


@pytest.mark.parametrize(
    ("rows", "wanted", "expected"),
    [(100, "auto", "dense"), (100_000, "auto", "sparse"), (100_000, "dense", "dense")],
)
def test_the_size_of_the_table_decides(rows, wanted, expected):
    assert gradients_of(wanted, rows, batch_size=256) == expected
    table, kind = torch.nn.Parameter(torch.zeros(rows, 2)), {"dense": DenseOptimiser}
    made = make_optimiser(table, settings(), expected, Exchange("none"))
    assert isinstance(made, kind.get(expected, RowOptimiser))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("kind", [RowOptimiser, DenseOptimiser])
def test_goes_on_from_its_state_as_if_never_stopped(kind, optimiser):
    tables = [torch.nn.Parameter(torch.ones(10, 5)) for _ in range(2)]
    whole, parts = (kind(t, settings(optimiser=optimiser), Exchange("none")) for t in tables)
    for number, (row_C, gradient_CW) in enumerate(steps(6, 10)):
        if number == 3:
            state = parts.state_dict()
            parts = kind(tables[1], settings(optimiser=optimiser), Exchange("none"))
            parts.load_state_dict(state)
        touched = sum_rows(row_C, gradient_CW)
        whole.step(*touched, 0.05)
        parts.step(*touched, 0.05)
    np.testing.assert_array_equal(tables[0].detach(), tables[1].detach())
