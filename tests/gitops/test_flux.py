"""Flux's expressions on recorded objects, run by a real CEL evaluator, beside kstatus."""

import copy
from typing import Any

import pytest
import yaml

from support.api_server import ApiServer, cel
from support.gitops import GITOPS, kstatus, recorded
from uncensor_operator.api import crdgen

KUSTOMIZATION = yaml.safe_load((GITOPS / "flux" / "kustomization.yaml").read_text())
(EXPRESSIONS,) = KUSTOMIZATION["spec"]["healthCheckExprs"]

# State: the verdict of kstatus, and that of the expressions where it is another.
VERDICTS = {
    "created": ("InProgress", None),
    "queued": ("InProgress", None),
    "running": ("InProgress", None),
    "edited": ("InProgress", None),
    # By kstatus a suspended run is never done; with the expressions it is settled.
    "suspended": ("InProgress", "Current"),
    "stalled": ("Failed", None),
    "retrying": ("InProgress", None),
    "succeeded": ("Current", None),
    # Flux has no word for it: an object that goes away is not done.
    "deleting": ("Terminating", "InProgress"),
}


def flux(manifest: dict[str, Any]) -> str:
    """Judge as Flux does (fluxcd/pkg, runtime/cel): generations, then three questions."""
    observed = manifest.get("status", {}).get("observedGeneration")
    if observed is not None and observed != manifest["metadata"]["generation"]:
        return "InProgress"
    for question, verdict in (
        ("inProgress", "InProgress"),
        ("failed", "Failed"),
        ("current", "Current"),
    ):
        if cel.compile(EXPRESSIONS[question]).execute(manifest) is True:
            return verdict
    return "InProgress"


@pytest.mark.parametrize("state", VERDICTS)
def test_kstatus_judges_each_state_right(state):
    assert kstatus(recorded()[state]) == VERDICTS[state][0]


@pytest.mark.parametrize("state", VERDICTS)
def test_the_expressions_judge_each_state_right(state):
    assert flux(recorded()[state]) == (VERDICTS[state][1] or VERDICTS[state][0])


def test_every_recorded_state_is_judged():
    assert set(VERDICTS) == set(recorded())


def test_no_expression_fails_on_an_object_that_the_operator_has_not_seen():
    # A field that is not there is an error in CEL, and Flux would wait until its timeout.
    manifest = copy.deepcopy(recorded()["created"])
    assert [cel.compile(EXPRESSIONS[one]).execute(manifest) for one in ("failed", "current")] == [
        False,
        False,
    ]


def test_without_the_default_of_the_crd_a_new_run_would_count_as_done():
    manifest = copy.deepcopy(recorded()["created"])
    del manifest["status"]
    assert kstatus(manifest) == "Current"


def test_the_expressions_are_about_our_kind():
    created = recorded()["created"]
    assert (EXPRESSIONS["apiVersion"], EXPRESSIONS["kind"]) == (
        created["apiVersion"],
        created["kind"],
    )


@pytest.mark.parametrize("state", VERDICTS)
def test_recorded_objects_are_such_as_the_server_stores(state):
    assert ApiServer(crdgen.crd()).refusals(recorded()[state]) == []
