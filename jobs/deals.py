"""Whether two models have learned from the same deal of ratings to train, validation and test."""

from __future__ import annotations

from typing import Any


def same_split(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two models were trained on the same deal of ratings, by their manifests' settings."""
    # Champions older than the setting were dealt at random, and say nothing of its parts.
    theirs = {"split": "random"} | theirs
    keys = {"split", "split_seed", "train_share", "validation_share", "test_share"}
    keys |= {"folds": {"folds", "fold"}, "given": {"given"}}.get(ours["split"], set())
    return all(ours[key] == theirs.get(key) for key in keys)
