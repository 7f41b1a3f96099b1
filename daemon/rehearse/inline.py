"""A poll child in this process: takes a job, runs it at once, answers with what came of it. The same order on every run."""

from __future__ import annotations

from collections.abc import Callable

from daemon.children import Child, Done, Job, run
from daemon.world import World


class InlineChild(Child):
    """What `Polls` needs of a child."""

    def __init__(self, worlds: Callable[[str], World]) -> None:
        self.worlds, self.first_only = worlds, False
        self.job: Job | None = None
        self.since = 0.0
        self._done: Done | None = None

    @property
    def free(self) -> bool:
        """Whether it can be given a job."""
        return self.job is None

    @property
    def is_lost(self) -> bool:
        """Never: it is this process."""
        return False

    def give(self, job: Job, elapsed: float) -> None:
        """Run a job."""
        self.job, self.since = job, elapsed
        self._done = run(self.worlds(job.rule_set), job)

    def result(self) -> Done | None:
        """What came of the job, once."""
        done, self._done = self._done, None
        if done is not None:
            self.job = None
        return done

    def replace(self) -> None:
        """Nothing has to be replaced."""
        self.job = None

    def stop(self, grace: float = 5.0) -> None:
        """Nothing runs."""
        self.job = None
