"""Which device a task scores on."""

import pytest
import torch

from jobs.runs.errors import JobError
from jobs.runs.files import is_held
from jobs.scoring.task import task_device


def device(wanted: str) -> str:
    with task_device(wanted) as name:
        return name


def test_a_machine_without_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device("cpu") == device("auto") == "cpu"
    with pytest.raises(JobError, match="torch finds no GPU"):
        device("cuda")


def test_a_gpu_serves_one_task_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert device("cpu") == "cpu"
    lock = tmp_path / "nightreel-cuda-0.lock"
    with task_device("auto") as name:
        assert name == "cuda:0"
        assert is_held(lock)
    assert not is_held(lock)
