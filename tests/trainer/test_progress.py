import io
import json

from uncensor_trainer.progress import Progress
from uncensor_trainer.run import main


def written(*steps, total=10, silent=False):
    stream, now = io.StringIO(), [0.0]
    progress = Progress("train", stream=stream, clock=lambda: now[0], silent=silent)
    for moment, step in steps:
        now[0] = moment
        progress.update(step, total, loss=1.5)
    return [json.loads(line)["step"] for line in stream.getvalue().splitlines()]


def test_at_most_one_line_a_second():
    assert written((0.0, 1), (0.5, 2), (0.9, 3), (1.1, 4)) == [1, 4]


def test_the_last_step_is_always_told():
    assert written((0.0, 9), (0.1, 10)) == [9, 10]


def test_other_ranks_are_silent():
    assert written((0.0, 1), silent=True) == []


def test_events_are_told_at_once_and_keep_their_letters():
    stream = io.StringIO()
    progress = Progress("train", stream=stream, silent=False)
    progress.update(1, 5)
    progress.note("für alle\nZeilen")
    lines = stream.getvalue().splitlines()
    assert json.loads(lines[1]) == {
        "event": "note",
        "stage": "train",
        "message": "für alle\nZeilen",
    }


def test_a_reader_that_is_gone_does_not_end_the_work():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    progress = Progress("train", stream=Gone(), silent=False)
    progress.note("one")
    progress.update(1, 1)


def test_a_rank_that_fails_alone_speaks_but_never_over_another(tmp_path, monkeypatch):
    end = tmp_path / "end.json"
    monkeypatch.setenv("RANK", "1")
    assert main(tmp_path / "no.json", "train", end) == 64
    assert json.loads(end.read_text())["code"] == 64
    end.write_text("first")
    main(tmp_path / "no.json", "train", end)
    assert end.read_text() == "first"
