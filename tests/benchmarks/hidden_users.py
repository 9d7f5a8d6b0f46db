"""Users of whom a part of the ratings is known when they are asked for, and who to learn from."""

from dataclasses import replace

import numpy as np

from model.data.histories import TRAIN, VALIDATION, Histories

KNOWN = 0.8
# Of users to learn from, those by whom a training by steps is ended.
ENDING = 0.05


def hidden(
    histories: Histories, place_B: np.ndarray, split: int, seed: int, by_time: bool = False
) -> Histories:
    """Of these users a fifth of the ratings, drawn or the last, is of the split, the rest known."""
    own = histories.take(np.sort(place_B))
    owner_N = own.owner_N
    nth_N = np.arange(len(owner_N)) - own.offset_U1[owner_N]
    drawn_N = nth_N if by_time else np.random.default_rng(seed).random(len(owner_N))
    held_N = np.empty(len(owner_N), bool)
    # A user's by size of what was drawn: the first are known.
    held_N[np.lexsort((drawn_N, owner_N))] = nth_N >= np.ceil(KNOWN * own.count_U)[owner_N]
    own = replace(own, split_N=np.where(held_N, split, TRAIN).astype(np.int8))
    # Known ratings first, each part in its order.
    order_N = np.lexsort((held_N, owner_N))
    return Histories(own.user_U, own.offset_U1, *(column[order_N] for column in own.columns))


def learned_from(histories: Histories, place_U: np.ndarray, seed: int) -> Histories:
    """All ratings of these users, but of a few of them a drawn fifth, which is for validation."""
    ending, whole = np.split(place_U, [round(ENDING * len(place_U))])
    everything = replace(histories, split_N=np.full_like(histories.split_N, TRAIN))
    return joined([hidden(histories, ending, VALIDATION, seed), everything.take(whole)])


def joined(parts: list[Histories]) -> Histories:
    """Histories of different users as one, by user."""
    user_U = np.concatenate([part.user_U for part in parts])
    count_U = np.concatenate([part.count_U for part in parts])
    columns = (np.concatenate(c) for c in zip(*(p.columns for p in parts), strict=True))
    both = Histories(user_U, np.concatenate([[0], np.cumsum(count_U)]), *columns)
    return both.take(np.argsort(user_U))
