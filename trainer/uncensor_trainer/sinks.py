"""Where metrics go beside metrics.jsonl: TensorBoard, Weights & Biases, Trackio, MLflow.

A thread of its own hands the rows on, so that a server that is slow or gone never holds up a
training. What fails is told once a place; metrics.jsonl has everything in any case.
Packages are imported when they are asked for. Without a key or a server, files below the arm's
folder take the rows, and their own tools show or upload them later.

A resumed training goes on in the same run of each place; rows that are done again replace those
of before (TensorBoard), or follow them (the others, which keep the last).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.runfile import MlFlow, Reporting, TensorBoard, Trackio, Wandb
from uncensor_trainer.workspace import read_json, write_json

ROWS_WAITING = 10_000  # a place that takes none of so many is broken
SECONDS_TO_OPEN = 20.0  # wandb's own 90 s would also hold up the end of the process
# How long the end of a training waits for the last rows, and how long a stop does, whose pod is
# killed soon. A first MLflow data base took 20 s on a busy machine.
SECONDS_AT_THE_END, SECONDS_AT_A_STOP = 120.0, 10.0
IDENTITY = "reporting.json"
# The token of each place: as a file of its name in the folder of tokens, or in this variable.
TOKENS = {"wandb": "WANDB_API_KEY", "trackio": "HF_TOKEN", "mlflow": "MLFLOW_TRACKING_TOKEN"}
QUIET = {
    "WANDB_SILENT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Told:
    """What the places are told about a training.

    Attributes:
        run: its name.
        arm: "filtered" or "control".
        digest: of everything that decides the weights.
        folder: of the arm.
        settings: of the training, for people who compare runs.
    """

    run: str
    arm: str
    digest: str
    folder: Path
    settings: Mapping[str, Json]

    @property
    def name(self) -> str:
        """How it is called there."""
        return self.run if self.arm == "filtered" else f"{self.run}-{self.arm}"

    def identity(self) -> str:
        """Return what all attempts of this training have in common, and no other training."""
        path = self.folder / IDENTITY
        found = read_json(path) or {}
        if found.get("digest") != self.digest:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = {"digest": self.digest, "id": secrets.token_hex(8)}
            write_json(path, found)
        return str(found["id"])


class Sink(Protocol):
    """One place."""

    def write(self, step: int, time: float, values: Values) -> None:
        """Take the metrics of a step; `time` in seconds since 1970."""
        ...

    def close(self) -> None:
        """Hand over what is left."""
        ...


Opener = Callable[[Any, Told, int], Sink]


class Sinks:
    """All places that a run asks for; a context manager. Does nothing when it asks for none.

    Raises:
        InvalidInput: the package of a place is not installed.
    """

    def __init__(self, reporting: Reporting, training: Told, progress: Progress) -> None:
        self._asked = {name: one for name in OPENERS if (one := getattr(reporting, name))}
        for name in self._asked:
            _refuse_missing(name)
        self._training = training
        self._progress = progress
        self._rows: queue.Queue[Mapping[str, Json] | None] = queue.Queue(ROWS_WAITING)
        self._thread: threading.Thread | None = None
        self._told_of: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(SECONDS_AT_THE_END if error is None else SECONDS_AT_A_STOP)

    def begin(self, step: int) -> None:
        """Open the places; the next row is of the step after this one."""
        if self._asked and self._thread is None:
            self._thread = threading.Thread(
                target=self._hand_on, args=(step,), name="sinks", daemon=True
            )
            self._thread.start()

    def take(self, row: Mapping[str, Json]) -> None:
        """Hand on a row of metrics.jsonl; returns at once."""
        if self._thread is None:
            return
        try:
            self._rows.put_nowait(row)
        except queue.Full:
            self._tell("reporting", "nothing takes the rows any more")

    def close(self, seconds: float) -> None:
        """Wait until everything is handed over, so many seconds at most."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._rows.put_nowait(None)
        thread.join(seconds)
        if thread.is_alive():
            self._tell("reporting", f"the last rows took longer than {seconds:.0f} s")

    def _hand_on(self, step: int) -> None:
        os.environ.update({key: value for key, value in QUIET.items() if key not in os.environ})
        # Some of them greet people on stdout, where our lines of JSON go.
        with contextlib.redirect_stdout(sys.stderr):
            sinks: dict[str, Sink] = {}
            for name, settings in self._asked.items():
                with self._failure_told(name):
                    _set_token(name)
                    sinks[name] = OPENERS[name](settings, self._training, step)
            while (row := self._rows.get()) is not None:
                for name, sink in sinks.items():
                    with self._failure_told(name):
                        sink.write(*_split(row))
            for name, sink in sinks.items():
                with self._failure_told(name):
                    sink.close()

    @contextlib.contextmanager
    def _failure_told(self, name: str) -> Iterator[None]:
        """Go on after a failure; it is told the first time, and the next row tried again."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a library of others raises
            said = ": ".join(filter(None, (type(error).__name__, str(error).partition("\n")[0])))
            self._tell(name, _without_secrets(said).rstrip("."))

    def _tell(self, name: str, what: str) -> None:
        if name not in self._told_of:
            self._told_of.add(name)
            self._progress.note(
                f"Metrics do not all reach {name}: {what}. Training goes on; metrics.jsonl has "
                "them."
            )


def _split(row: Mapping[str, Json]) -> tuple[int, float, Values]:
    values = {
        key: float(value)
        for key, value in row.items()
        if isinstance(value, int | float) and key not in ("step", "time")
    }
    step, time = row["step"], row["time"]
    assert isinstance(step, int)  # noqa: S101 - our own row
    assert isinstance(time, int | float)  # noqa: S101 - likewise
    return step, time, values


def _refuse_missing(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise InvalidInput(
            f"spec.reporting.{name} needs the Python package {name}, which is not installed here. "
            f"Install it (pip install 'uncensor-operator[{name}]'; on a cluster, build the trainer "
            f"image with REPORTING={name}), or take spec.reporting.{name} out."
        )


def _set_token(name: str) -> None:
    """Bring a token to where its library looks; nothing else ever gets to see it."""
    folder, variable = os.environ.get("UNCENSOR_TOKEN_FOLDER"), TOKENS.get(name)
    if folder and variable and (file := Path(folder) / name).exists():
        os.environ[variable] = file.read_text(encoding="utf-8").strip()


def _without_secrets(text: str) -> str:
    for variable in TOKENS.values():
        if secret := os.environ.get(variable):
            text = text.replace(secret, "***")
    return text


class _TensorBoard:
    def __init__(self, settings: TensorBoard, training: Told, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional package

        self._writer = SummaryWriter(
            str(training.folder / "tensorboard" / f"{training.name}-{training.identity()}"),
            purge_step=step + 1,
            flush_secs=settings.flush_seconds,
        )

    def write(self, step: int, time: float, values: Values) -> None:
        for key, value in values.items():
            self._writer.add_scalar(f"train/{key}", value, step, walltime=time)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, settings: Wandb, training: Told, step: int) -> None:
        import wandb  # noqa: PLC0415 - an optional package

        training.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            name=training.name,
            id=training.identity(),
            resume="allow",
            mode=None if os.environ.get(TOKENS["wandb"]) else "offline",
            dir=str(training.folder),
            config=dict(training.settings),
            settings=wandb.Settings(
                console="off", disable_git=True, save_code=False, init_timeout=SECONDS_TO_OPEN
            ),
        )
        self._run.define_metric("train/*", step_metric="train/step")

    def write(self, step: int, time: float, values: Values) -> None:
        named = {f"train/{key}": value for key, value in values.items()}
        self._run.log({**named, "train/step": step})

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, settings: Trackio, training: Told, step: int) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(training.folder / "trackio"))
        import trackio  # noqa: PLC0415 - an optional package

        self._run = trackio.init(
            project=settings.project,
            name=training.name,
            space_id=settings.space,
            resume="allow",
            config=dict(training.settings),
            embed=False,
        )

    def write(self, step: int, time: float, values: Values) -> None:
        self._run.log({f"train/{key}": value for key, value in values.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


class _MlFlow:
    def __init__(self, settings: MlFlow, training: Told, step: int) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - an optional package

        folder = training.folder / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(settings.tracking_uri or f"sqlite:///{folder / 'mlflow.db'}")
        tag, found = f"tags.uncensor = '{training.identity()}'", None
        experiment = self._client.get_experiment_by_name(settings.experiment)
        if experiment is None:
            number = self._client.create_experiment(
                settings.experiment,
                artifact_location=None if settings.tracking_uri else folder.as_uri(),
            )
        else:
            number = experiment.experiment_id
            found = next(iter(self._client.search_runs([number], tag)), None)
        self._run = found.info.run_id if found else self._created(number, training)
        self._client.update_run(self._run, status="RUNNING")

    def _created(self, experiment: str, training: Told) -> str:
        tags = {"uncensor": training.identity()}
        made = self._client.create_run(experiment, run_name=training.name, tags=tags)
        for key, value in training.settings.items():
            self._client.log_param(made.info.run_id, key, _short(value))
        return str(made.info.run_id)

    def write(self, step: int, time: float, values: Values) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415 - an optional package

        moment = int(time * 1000)
        metrics = [Metric(f"train/{key}", value, moment, step) for key, value in values.items()]
        self._client.log_batch(self._run, metrics)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def _short(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


OPENERS: dict[str, Opener] = {
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "trackio": _Trackio,
    "mlflow": _MlFlow,
}
