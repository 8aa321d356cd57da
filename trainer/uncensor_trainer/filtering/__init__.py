"""The refusal filter on its own: files of any size, pipes, or rows in memory.

`filter_rows(rows, policy)` yields the rows that stay; `filter_files(job)` is what
`uncensor filter` runs. The classes come from `uncensor_trainer.refusals`.
"""

from uncensor_trainer.filtering.iterating import filter_rows
from uncensor_trainer.filtering.job import Job, Tally, filter_files
from uncensor_trainer.filtering.policy import Decision, Policy, Rule, decide

__all__ = ["Decision", "Job", "Policy", "Rule", "Tally", "decide", "filter_files", "filter_rows"]
