"""What ranks take turns in: rules that hold for any counts of ratings."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.data.strata import Strata, cut_into_blocks


@given(
    st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=3, max_size=3),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_in_an_epoch_every_rank_has_every_block_once_and_no_two_have_one_at_a_time(
    rows_RB, batch_size, epoch
):
    strata = Strata(torch.zeros(0), rows_RB)
    turns_RP = [[strata.block(epoch, part, rank) for part in range(3)] for rank in range(3)]
    for blocks in (*turns_RP, *zip(*turns_RP, strict=True)):
        assert sorted(blocks) == [0, 1, 2]
    assert [strata.block(epoch + 1, 0, rank) for rank in range(3)] == [t[-1] for t in turns_RP]
    sizes_PRS = strata.sizes(epoch, batch_size)
    for part, sizes_RS in enumerate(sizes_PRS):
        assert len({len(sizes) for sizes in sizes_RS}) == 1
        for rank, sizes in enumerate(sizes_RS):
            assert sum(sizes) == rows_RB[rank][turns_RP[rank][part]]
        assert all(sum(step) <= batch_size + 3 for step in zip(*sizes_RS, strict=True))
    steps = [block for part in range(3) for block in [turns_RP[1][part]] * len(sizes_PRS[part][1])]
    assert strata.blocks(epoch, batch_size, 1) == steps


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(2, 5))
def test_blocks_have_about_as_many_movies_and_ratings(counts, blocks):
    block_M = cut_into_blocks(torch.tensor(counts), blocks).numpy()
    movies_B = np.bincount(block_M, minlength=blocks)
    ratings_B = np.bincount(block_M, counts, blocks)
    assert len(movies_B) == blocks
    assert movies_B.max() - movies_B.min() <= 1
    assert ratings_B.max() - ratings_B.min() <= 2 * max(counts)
