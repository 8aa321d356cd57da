"""Anything may happen in any order; what must never happen does not, and the run comes to its end.

Hypothesis draws schedules: passes, passes cut off by a crash, pods that start, end, fail, are taken
away or hang, lost nodes, deleted children, people who suspend, edit and retry, and time. After each
move a few sentences must hold; afterwards the cluster behaves, and the run must succeed and rest.
"""

import copy
import json
import os

from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from support.api_server import ApiServer
from support.driving import SUMMARIES, Driver
from support.simulation import KINDS, Simulation, a_spec, owner_of, replicas_of
from uncensor_operator.api.crdgen import crd
from uncensor_operator.names import Reason, StageState
from uncensor_operator.plan.outcome import Create, Plan
from uncensor_operator.plan.placement import Obstacle

CODES = (1, 64, 65, 69, 70, 73, 75, 76, 77, 78, 79, 137, 143)
NODES = ("node-1", "node-2")
DONE = ("Complete", "Succeeded")
NONE = {"conditions": ()}
QUOTA = Obstacle(Reason.QUOTA_EXCEEDED, "The quota of the namespace is used up.")
SERVER = ApiServer(crd())


class Schedule:
    """One run under a schedule, and the sentences that must hold."""

    def __init__(self, nodes: int) -> None:
        compute = {"pool": "cpu", "nodes": nodes, "gpusPerNode": 0}
        self.sim = Simulation(a_spec(compute=compute, runPolicy={"stallTimeoutSeconds": 60}))
        self.done: dict[str, str] = {}
        self.retries = 0

    # --- moves: each takes a number that chooses among what is there -----------------------------

    def look(self, _: int) -> None:
        self.sim.carry(self._plan())

    def crash(self, number: int) -> None:
        """The operator dies in the middle of a pass, before it writes the status."""
        wanted = self._plan()
        self.sim.carry(wanted, crash_after=number % (len(wanted.steps) + 1))

    def refuse(self, number: int) -> None:
        """A quota or a policy is in the way of some step."""
        steps = len(self._plan().steps)
        if steps:
            self.sim.refuse(QUOTA, number % steps)

    def _plan(self) -> Plan:
        wanted = self.sim.plan()
        begun = [
            step.manifest["metadata"]["name"]
            for step in wanted.steps
            if isinstance(step, Create) and step.manifest["kind"] in KINDS
        ]
        # Two attempts that write the same folder are what must never be.
        assert not (begun and self._may_write()), f"{begun} beside {self._may_write()}"
        return wanted

    def start(self, number: int) -> None:
        """The controller makes one more pod of a child, and the kubelet runs it."""
        name = self._child(number)
        if name is None or self.sim.child(name).get("status"):
            return
        known = {pod["metadata"]["name"] for pod in self.sim.pods_of(name)}
        for replica in replicas_of(self.sim.child(name)):
            pod = f"{name}-{replica}"
            # A pod of a deleted child of that name may still be ending.
            if pod not in known and pod not in self.sim.pods:
                self.sim.add_pod(self.sim.child(name), replica)
                if number % 3:
                    self.sim.run_pod(pod, NODES[number % 2])
                return

    def complete(self, number: int) -> None:
        name = self._working(number)
        if name is not None:
            stage = self.sim.child(name)["metadata"]["labels"]["uncensor.dev/stage"]
            self.sim.complete(name, SUMMARIES.get(stage))

    def fail(self, number: int) -> None:
        name = self._working(number)
        if name is not None:
            code = CODES[number % len(CODES)]
            reason = "OOMKilled" if code == 137 and number % 2 else ""
            self.sim.fail(name, code, reason=reason)

    def kill_pod(self, number: int) -> None:
        """One pod ends badly; its controller has not said anything yet."""
        pod = self._pod(number)
        if pod is not None and self.sim.pods[pod]["status"]["phase"] == "Running":
            self.sim.end_pod(pod, CODES[number % len(CODES)])

    def take_pod(self, number: int) -> None:
        pod = self._pod(number)
        if pod is not None:
            self.sim.take_pod(pod)

    def delete_pod(self, number: int) -> None:
        pod = self._pod(number)
        if pod is not None:
            self.sim.delete_pod(pod, 30)

    def finish_deletions(self, _: int) -> None:
        for name, pod in list(self.sim.pods.items()):
            if "deletionTimestamp" in pod["metadata"] and not self._on_lost_node(pod):
                del self.sim.pods[name]

    def delete_child(self, number: int) -> None:
        """Somebody deletes a Job by hand."""
        name = self._child(number)
        if name is None:
            return
        gone = self.sim.child(name)
        pods = [pod["metadata"]["name"] for pod in self.sim.pods_of(name)]
        del self.sim.objects[gone["kind"], name]
        for pod in pods:
            self.sim.delete_pod(pod, 30)

    def lose_node(self, number: int) -> None:
        self.sim.absent.add(NODES[number % 2])

    def find_nodes(self, _: int) -> None:
        self.sim.absent.clear()

    def linger(self, number: int) -> None:
        self.sim.lingers = bool(number % 2)

    def suspend(self, _: int) -> None:
        self.sim.edit(lambda spec: spec.update(suspend=True))

    def go_on(self, _: int) -> None:
        self.sim.edit(lambda spec: spec.update(suspend=False))

    def edit(self, number: int) -> None:
        """A change that is allowed at any time, as it only concerns what comes after training."""
        tokens = 16 + number % 3
        self.sim.edit(lambda spec: spec.update(evaluation={"refusal": {"maxNewTokens": tokens}}))

    def retry(self, _: int) -> None:
        self.retries += 1
        self.sim.annotate(retry=str(self.retries))

    def wait(self, number: int) -> None:
        self.sim.wait((1, 10, 60, 600, 7200)[number % 5])

    # --- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        self._one_attempt_at_a_time()
        self._status_is_accepted()
        self._done_stays_done()

    def _one_attempt_at_a_time(self) -> None:
        at_work = {
            one["metadata"]["name"]
            for (kind, _), one in self.sim.objects.items()
            if kind in KINDS and not one.get("status") and not one["spec"].get("suspend")
        }
        assert len(at_work) <= 1, f"two attempts at work: {sorted(at_work)}"

    def _status_is_accepted(self) -> None:
        given = copy.deepcopy(self.sim.run)
        refused = SERVER.refusals(given)
        assert not refused, f"the server would refuse {json.dumps(given['status'])}: {refused}"

    def _done_stays_done(self) -> None:
        """A finished stage is only done again for other inputs."""
        for stage in self.sim.status.get("stages", ()):
            name, digest = stage["name"], stage.get("inputDigest")
            if stage["state"] in (StageState.SUCCEEDED, StageState.SKIPPED):
                self.done[name] = digest
            elif digest is not None and self.done.get(name) == digest:
                raise AssertionError(f"{name} was done and is {stage['state']} again")
            elif digest is not None:
                # Begun anew with other inputs: what was done before is gone.
                self.done.pop(name, None)

    def _may_write(self) -> list[str]:
        """Pods at work, of attempts that have not succeeded."""
        over = {
            one["metadata"]["uid"]
            for (kind, _), one in self.sim.objects.items()
            if kind in KINDS
            and any(c["type"] in DONE for c in one.get("status", NONE)["conditions"])
        }
        return [
            name
            for name, pod in self.sim.pods.items()
            if pod["status"]["phase"] not in ("Succeeded", "Failed") and owner_of(pod) not in over
        ]

    # --- what there is ---------------------------------------------------------------------------

    def _child(self, number: int) -> str | None:
        names = self.sim.children
        return names[number % len(names)] if names else None

    def _working(self, number: int) -> str | None:
        """A child of which all pods are there, none is lost, and whose end was not told yet."""
        names = [
            name
            for name in self.sim.children
            if not self.sim.child(name).get("status")
            and len(self.sim.pods_of(name)) == len(replicas_of(self.sim.child(name)))
            and all(pod["status"]["phase"] == "Running" for pod in self.sim.pods_of(name))
        ]
        return names[number % len(names)] if names else None

    def _pod(self, number: int) -> str | None:
        names = list(self.sim.pods)
        return names[number % len(names)] if names else None

    def _on_lost_node(self, pod: dict) -> bool:
        return pod["spec"]["nodeName"] in self.sim.absent

    # --- the end ---------------------------------------------------------------------------------

    def calm(self) -> None:
        """The cluster and the people behave again."""
        self.sim.absent.clear()
        self.sim.lingers = False
        self.sim.edit(lambda spec: spec.update(suspend=False))
        for name in self.sim.children:
            # A controller tells about pods that ended while nobody looked.
            pods = self.sim.pods_of(name)
            if any(pod["status"]["phase"] == "Failed" for pod in pods):
                self._conclude(name, "Failed")
        for _ in range(12):
            Calm(self.sim).walk()
            if self.sim.status["phase"] == "Succeeded":
                return
            assert self.sim.status["phase"] == "Stalled", self.sim.status["phase"]
            status, reason = self.sim.condition("Stalled")
            assert (status, bool(reason), bool(self.sim.message("Stalled"))) == ("True",) + (
                True,
            ) * 2
            self.retry(0)
        raise AssertionError(f"never succeeded: {json.dumps(self.sim.status)}")

    def rests(self) -> None:
        """At the end, a pass writes nothing."""
        writes = self.sim.writes
        for _ in range(3):
            assert not self.sim.once().steps
        assert self.sim.writes == writes

    def _conclude(self, name: str, kind: str) -> None:
        if not self.sim.child(name).get("status"):
            for pod in self.sim.pods_of(name):
                if pod["status"]["phase"] not in ("Succeeded", "Failed"):
                    self.sim.end_pod(pod["metadata"]["name"], 143)
            self.sim.conclude(name, kind)


class Calm(Driver):
    """A cluster that also brings half-made children to their end."""

    def _further(self, name: str) -> None:
        sim, child = self.sim, self.sim.child(name)
        ended = child.get("status", {}).get("conditions")
        if not ended and not child["spec"].get("suspend"):
            self._make_pods(name)
            if any(pod["status"]["phase"] == "Failed" for pod in sim.pods_of(name)):
                sim.fail(name, 143)
                return
        super()._further(name)

    def _make_pods(self, name: str) -> None:
        """Its controller makes what is missing, and the kubelet runs what waits."""
        sim = self.sim
        made = {pod["metadata"]["name"] for pod in sim.pods_of(name)}
        for replica in replicas_of(sim.child(name)):
            pod = f"{name}-{replica}"
            if made and pod not in sim.pods:
                sim.add_pod(sim.child(name), replica)
            if pod in made and sim.pods[pod]["status"]["phase"] == "Pending":
                sim.run_pod(pod)


STAGES = ("fetch", "filter", "prepare", "train", "probe", "evaluate", "report")
MOVES = (
    *("look",) * 6,
    *("start",) * 5,
    *("complete",) * 4,
    *(
        "crash",
        "refuse",
        "fail",
        "kill_pod",
        "take_pod",
        "delete_pod",
        "finish_deletions",
        "delete_child",
    ),
    *("lose_node", "find_nodes", "linger", "suspend", "edit", "retry", "wait", "wait"),
    *("go_on",) * 2,
)
MOVE = st.tuples(st.sampled_from(MOVES), st.integers(0, 400))


@settings(
    max_examples=int(os.environ.get("UNCENSOR_SCHEDULES", "60")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    nodes=st.sampled_from([1, 2]),
    passed=st.integers(0, len(STAGES) - 1),
    moves=st.lists(MOVE, min_size=20, max_size=60),
)
def test_any_schedule_ends_in_success_and_rest(nodes, passed, moves):
    schedule = Schedule(nodes)
    schedule.sim.pass_stages(*STAGES[:passed])
    schedule.sim.settle()
    for name, number in moves:
        note(f"{name} {number}")
        getattr(schedule, name)(number)
        schedule.check()
    event(f"phase {schedule.sim.status.get('phase')}")
    event(f"{len(schedule.sim.created)} children")
    schedule.calm()
    schedule.check()
    schedule.rests()
