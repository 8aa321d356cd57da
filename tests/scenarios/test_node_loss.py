"""A node that loses power takes a rank with it: its pods never end by themselves."""

from __future__ import annotations

import pytest

from cluster.boxes import await_true
from cluster.clusters import Cluster
from cluster.outside import Outside
from support.staging import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

# Both ranks work until somebody ends them; what the dead one held up does not matter here.
WORKS = """
say '{"event":"progress","stage":"train","step":5,"total":9}'
say '{"event":"checkpoint","stage":"train","step":4}'
if [ $attempt = 1 ]; then while true; do sleep 0.1; done; fi
"""


def test_a_lost_node_costs_nothing_but_time(
    run: Stage, operator: Outside, stunt_cluster: Cluster
) -> None:
    run.stunt("train", WORKS)
    run.apply({"compute": {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}})
    run.wait("both ranks", lambda: len(run.starts()) == 5, seconds=120)
    run.wait("the checkpoint", lambda: "lastCheckpoint" in run.status.get("training", {}))
    node = run.pod("run-train-1-worker-0")["spec"]["nodeName"]
    number = next(n for n in (1, 2) if stunt_cluster.node(n).name == node)
    try:
        stunt_cluster.lose_node(number)
        run.wait_for("Succeeded", seconds=240)
    finally:
        stunt_cluster.start_node(number)
        await_true(f"{node}", 240, lambda: stunt_cluster.ready_nodes("node-") == 2)

    train = run.stage("train")
    assert train["interruptions"] >= 1
    assert train["failures"] == 0
    assert run.status["training"]["lastCheckpoint"]["step"] == 4
    again = [line for line in run.starts() if line.startswith("train 2")]
    assert "train 2 0" in again
    assert any("lost" in one["note"] for one in run.events() if one["reason"] == "Evicted")
