"""The administrator's settings: what is wrong is named with its field, and profiles fill gaps."""

import pytest
import yaml

from support.simulation import SETTINGS
from uncensor_operator.errors import UncensorError
from uncensor_operator.profiles import PROFILES
from uncensor_operator.settings import Settings, read_settings


def changed(path, value):
    """The usual settings as text, with one value set; `path` has dots and numbers."""
    settings = yaml.safe_load(yaml.safe_dump(SETTINGS))
    *outer, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = settings
    for part in outer:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    place[last] = value
    return yaml.safe_dump(settings)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("trainerImage.reference", "", "trainerImage.reference"),
        ("trainerImage.pullPolicy", "Sometimes", "trainerImage.pullPolicy"),
        ("pools.0.gpu", 4, "pools[0].gpu"),
        ("pools.0.memory", "lots", "pools[0].memory"),
        ("pools.1.profile", "a200", "pools[1]"),
        ("pools.0.gpus", 4, "pools[0]"),
        ("defaultPool", "other", "the whole"),
        ("engine.workers", 0, "engine.workers"),
        ("retries.firstSeconds", -1, "retries.firstSeconds"),
        ("security.user", 0, "security.user"),
        ("httpPort", 70000, "httpPort"),
        ("stages.dance", {"cpus": 1, "memory": "1Gi"}, "stages.dance"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, path, value, field):
    file = tmp_path / "settings.yaml"
    file.write_text(changed(path, value))
    with pytest.raises(UncensorError) as caught:
        read_settings(file)
    first, *lines = str(caught.value).splitlines()
    assert first == f"The settings {file} are at fault:"
    assert [line for line in lines if line.strip().startswith(field)], lines


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read: No such file"), ("a: [", "are not YAML"), ("", "are at fault")],
)
def test_a_file_that_is_no_settings_is_said_in_a_sentence(tmp_path, text, words):
    file = tmp_path / "settings.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UncensorError, match=words):
        read_settings(file)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_fills_what_a_pool_leaves_out_and_nothing_else(name):
    given = {"name": "mine", "profile": name, "cpus": 7}
    pool = Settings.model_validate({**SETTINGS, "pools": [given], "defaultPool": "mine"}).pools[0]
    assert pool.cpus == 7
    assert pool.gpus == PROFILES[name]["gpus"]
    assert dict(pool.node_labels) == {
        key: tuple(values) for key, values in PROFILES[name].get("nodeLabels", {}).items()
    }


def test_a_run_without_a_pool_gets_the_default_one_and_else_the_first():
    settings = Settings.model_validate(SETTINGS)
    assert settings.pool(None).name == "cpu"
    pools = SETTINGS["pools"][::-1]
    first = Settings.model_validate({"trainerImage": {"reference": "i"}, "pools": pools})
    assert first.pool(None).name == "a100-80gb"
    assert settings.pool("unknown") is None
