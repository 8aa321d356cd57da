from types import SimpleNamespace

import pytest
from transformers import TrainingArguments

from support.tiny import run_file
from uncensor_trainer.engine import Split, choose_engine
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.loop import Boundary, training_arguments
from uncensor_trainer.runfile import CheckpointSettings


def decided(seconds, *, step=1, stop=False, every_steps=0, every_minutes=0):
    """Return (saves, stops) at a step boundary some seconds after the last save."""
    now = [0.0]
    cadence = CheckpointSettings(every_steps=every_steps, every_minutes=every_minutes)
    log = SimpleNamespace(restart_clock=lambda: None)
    boundary = Boundary(
        SimpleNamespace(
            cadence=cadence, stop=SimpleNamespace(is_set=stop), clock=lambda: now[0], log=log
        )
    )
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    state = SimpleNamespace(global_step=step, max_steps=100)
    now[0] = 50.0
    boundary.on_save(None, state, control)
    now[0] += seconds
    boundary.on_step_end(None, state, control)
    return control.should_save, control.should_training_stop


@pytest.mark.parametrize(
    ("asked", "decision"),
    [
        pytest.param({"seconds": 119, "every_minutes": 2}, (False, False), id="too early"),
        pytest.param({"seconds": 120, "every_minutes": 2}, (True, False), id="minutes are over"),
        pytest.param({"seconds": 9999, "every_minutes": 0}, (False, False), id="no minutes"),
        pytest.param({"seconds": 0, "every_steps": 5, "step": 10}, (True, False), id="its turn"),
        pytest.param({"seconds": 0, "every_steps": 5, "step": 11}, (False, False), id="no turn"),
        pytest.param({"seconds": 0, "step": 100}, (True, False), id="the last step"),
        pytest.param({"seconds": 0, "stop": True}, (True, True), id="told to stop"),
    ],
)
def test_a_boundary_saves_when_there_is_a_reason(asked, decision):
    assert decided(**asked) == decision


def test_an_unknown_schedule_is_told_with_the_known_ones(tmp_path):
    training = run_file(tmp_path, tmp_path, training={"schedule": "slanted"}).training
    engine = choose_engine(training, Split(1, 1, 1), gpu=False)
    with pytest.raises(InvalidInput, match=r"'slanted' is not known.*cosine"):
        training_arguments(training, engine, 1, tmp_path)


def test_a_process_alone_keeps_to_one_of_several_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda _: 4))
    training = run_file(tmp_path, tmp_path).training
    engine = choose_engine(training, Split(1, 1, 1), gpu=False)
    assert training_arguments(training, engine, 1, tmp_path)._n_gpu == 1
