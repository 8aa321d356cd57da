"""Everything that the report knows about a run, read and typed; pages and sentences start here."""

from __future__ import annotations

from dataclasses import dataclass

from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile


@dataclass(frozen=True, slots=True)
class StageFact:
    """The record of one complete stage; times in Unix seconds."""

    name: str
    digest: str
    started: float
    finished: float
    seconds: float
    summary: dict[str, Json]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of events.jsonl; `time` in Unix seconds."""

    time: float
    kind: str
    stage: str
    message: str
    peak_bytes: int
    """Peak memory of the stage that ended; 0 where nobody measured it."""


@dataclass(frozen=True, slots=True)
class FileFact:
    """One fetched file; `size` in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SourceFact:
    """Where a model or a data set came from."""

    role: str
    kind: str
    name: str
    revision: str
    files: tuple[FileFact, ...]


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of one data set by what the filter did; `stripped` rows, cut or not, are kept."""

    name: str
    rows: int
    kept: int
    dropped: int
    stripped: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Example:
    """One flagged answer; characters [start, end) of `response` are what the rule saw."""

    answer_class: str
    dataset: str
    index: int
    instruction: str
    response: str
    rule: str
    start: int
    end: int
    action: str


@dataclass(frozen=True, slots=True)
class BadRowFact:
    """A row that could not be read, and why."""

    dataset: str
    index: int
    reason: str
    snippet: str


@dataclass(frozen=True, slots=True)
class FilterFact:
    """What the filter saw and did."""

    mode: str
    total: RowCounts
    datasets: tuple[RowCounts, ...]
    by_class: dict[str, int]
    by_rule: dict[str, int]
    actions: dict[tuple[str, str], int]
    """(class, action) -> rows, from decisions.jsonl; empty for older folders."""
    examples: tuple[Example, ...]
    bad_rows: tuple[BadRowFact, ...]


@dataclass(frozen=True, slots=True)
class StoreFact:
    """The token store of an arm."""

    arm: str
    rows: int
    tokens: int
    loss_tokens: int
    longest: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One logged step; `loss` is None where it was not a finite number."""

    step: int
    loss: float | None
    epoch: float | None
    learning_rate: float | None
    time: float | None


@dataclass(frozen=True, slots=True)
class TrainingFact:
    """The training of one arm; `finished` tells whether its model is complete.

    MFU and goodput (0 to 1) and the peak of a process's memory in bytes (0: not recorded) stand in
    newer runs only.
    """

    arm: str
    points: tuple[Point, ...]
    finished: bool
    steps: int
    final_loss: float | None
    tokens: int
    parameters: int
    tokens_per_second: float | None
    mfu: float | None = None
    goodput: float | None = None
    peak_memory: int = 0


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a counted rate says about the true one, given the judge's errors; in 0 to 1."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """How often an arm refused; rate and its 95 % interval in 0 to 1."""

    arm: str
    refusals: int
    n: int
    rate: float
    low: float | None
    high: float | None
    by_class: dict[str, int]
    corrected: Corrected | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired test of the filtered arm against another."""

    test: str
    against: str
    p_value: float
    only_other: int
    only_filtered: int


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How well an arm predicts clean answers; lower is better."""

    arm: str
    perplexity: float
    low: float | None
    high: float | None
    tokens: int
    answers: int


@dataclass(frozen=True, slots=True)
class Gate:
    """The refusal rate that the run allows, and whether it was met."""

    max_rate: float
    met: bool


@dataclass(frozen=True, slots=True)
class EvaluationFact:
    """The comparison of the arms."""

    prompts: int
    rates: tuple[Rate, ...]
    comparison: Comparison | None
    perplexities: tuple[Perplexity, ...]
    perplexity_ratio: float | None
    gate: Gate | None
    settings: dict[str, str]

    def rate(self, arm: str) -> Rate | None:
        """Return the rate of an arm, None when it was not measured."""
        return next((rate for rate in self.rates if rate.arm == arm), None)

    @property
    def reference(self) -> Perplexity | None:
        """The perplexity to compare with: of the other arm, over the same tokens."""
        own = self.perplexity("filtered")
        others = (self.perplexity("control"), self.perplexity("baseline"))
        return next((one for one in others if own and one and one.tokens == own.tokens), None)

    def perplexity(self, arm: str) -> Perplexity | None:
        """Return the perplexity of an arm, None when it was not measured."""
        return next((found for found in self.perplexities if found.arm == arm), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one arm answered; `answer_class` is empty where nothing was judged."""

    arm: str
    response: str
    answer_class: str
    length: int
    """Characters of the whole answer; `response` may be cut."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt and the answers of the arms."""

    identifier: str
    prompt: str
    category: str
    answers: tuple[Answer, ...]

    @property
    def differs(self) -> bool:
        """Tell whether the arms' answers are of different classes."""
        return len({answer.answer_class for answer in self.answers}) > 1


@dataclass(frozen=True, slots=True)
class Samples:
    """The first rows of a file of answers, and what is known of all of them."""

    shown: tuple[Sample, ...]
    total: int
    differing: int
    sha256: str
    """Over every row, so that two runs can be compared without the answers."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything read of one run folder; None and empty stand for what is absent."""

    run: RunFile
    stages: dict[str, StageFact]
    stale: tuple[str, ...]
    """Stages whose output was made with other settings; it is left out."""
    events: tuple[Event, ...]
    sources: tuple[SourceFact, ...]
    filter: FilterFact | None
    stores: tuple[StoreFact, ...]
    training: tuple[TrainingFact, ...]
    evaluation: EvaluationFact | None
    samples: Samples
    probe: Samples

    def trained(self, arm: str) -> TrainingFact | None:
        """Return the training of an arm, None when there is no trace of it."""
        return next((found for found in self.training if found.arm == arm), None)
