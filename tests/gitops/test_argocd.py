"""Argo CD's scripts on recorded objects, run by a real Lua 5.1 with the libraries it has there.

`health_test.yaml` and `action_test.yaml` have the form of Argo CD's own tests, so that the folder
can be given to it as it is.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.gitops import CUSTOMIZATIONS, GITOPS, recorded

lua51 = pytest.importorskip("lupa.lua51", reason="needs lupa (extra dev)")

HEALTH = yaml.safe_load((CUSTOMIZATIONS / "health_test.yaml").read_text())["tests"]
ACTIONS = yaml.safe_load((CUSTOMIZATIONS / "actions" / "action_test.yaml").read_text())
PATCH = yaml.safe_load((GITOPS / "argocd" / "argocd-cm-patch.yaml").read_text())["data"]
KIND = "uncensor.dev_UncensorTraining"


def run(script: str, manifest: dict[str, Any]) -> Any:
    """Return what a script returns for an object; Argo CD offers base, table and os.date only."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.execute("string, math, io, debug, coroutine = nil; os = {date = os.date, time = os.time}")
    lua.globals().obj = to_lua(lua, manifest)
    return to_python(lua.execute(script))


def to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: to_lua(lua, item) for key, item in value.items()})
    if isinstance(value, list):
        return lua.table_from([to_lua(lua, item) for item in value])
    return value


def to_python(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and all(isinstance(key, int) for key in keys):
        return [to_python(value[key]) for key in sorted(keys)]
    return {key: to_python(value[key]) for key in keys}


def script(*parts: str) -> str:
    return CUSTOMIZATIONS.joinpath(*parts).read_text()


def loaded(path: str, folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / path).read_text()))


@pytest.mark.parametrize("case", HEALTH, ids=lambda case: Path(case["inputPath"]).stem)
def test_health_is_told_with_a_sentence(case):
    manifest = loaded(case["inputPath"], CUSTOMIZATIONS)
    assert run(script("health.lua"), manifest) == case["healthStatus"]


def test_every_recorded_state_has_a_health():
    assert {Path(case["inputPath"]).stem for case in HEALTH} == set(recorded())


def test_an_object_without_a_status_is_not_healthy():
    manifest = copy.deepcopy(recorded()["created"])
    del manifest["status"]
    assert run(script("health.lua"), manifest)["status"] == "Progressing"


def test_a_stalled_run_that_is_suspended_still_needs_a_person():
    manifest = copy.deepcopy(recorded()["stalled"])
    manifest["status"]["conditions"].append({"type": "Suspended", "status": "True"})
    assert run(script("health.lua"), manifest)["status"] == "Degraded"


@pytest.mark.parametrize(
    "case", ACTIONS["discoveryTests"], ids=lambda case: Path(case["inputPath"]).stem
)
def test_only_actions_that_make_sense_are_offered(case):
    offered = run(
        script("actions", "discovery.lua"), loaded(case["inputPath"], CUSTOMIZATIONS / "actions")
    )
    assert offered == {one["name"]: {"disabled": one["disabled"]} for one in case["result"]}


@pytest.mark.parametrize("case", ACTIONS["actionTests"], ids=lambda case: case["action"])
def test_actions_change_what_they_are_about_and_nothing_else(case):
    folder = CUSTOMIZATIONS / "actions"
    manifest = loaded(case["inputPath"], folder)
    changed = run(script("actions", case["action"], "action.lua"), manifest)
    assert changed == loaded(case["expectedOutputPath"], folder)


def test_retry_gives_the_annotation_a_new_value_each_time():
    first = run(script("actions", "retry", "action.lua"), recorded()["stalled"])
    second = run(script("actions", "retry", "action.lua"), first)
    values = [one["metadata"]["annotations"]["uncensor.dev/retry"] for one in (first, second)]
    assert values[0] != values[1]
    assert {key: first[key] for key in ("spec", "status")} == {
        key: recorded()["stalled"][key] for key in ("spec", "status")
    }


def test_the_patch_of_argocds_config_map_has_the_same_scripts():
    assert PATCH[f"resource.customizations.health.{KIND}"] == script("health.lua")
    actions = yaml.safe_load(PATCH[f"resource.customizations.actions.{KIND}"])
    assert actions["discovery.lua"] == script("actions", "discovery.lua")
    assert {one["name"]: one["action.lua"] for one in actions["definitions"]} == {
        name: script("actions", name, "action.lua") for name in ("suspend", "resume", "retry")
    }
