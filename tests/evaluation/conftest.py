import pytest

from support.evaluation import HELP, REFUSAL, a_varied_model, taught_model


@pytest.fixture(scope="session")
def refusing_model(tmp_path_factory):
    return taught_model(tmp_path_factory.mktemp("refusing"), REFUSAL)


@pytest.fixture(scope="session")
def helpful_model(tmp_path_factory):
    return taught_model(tmp_path_factory.mktemp("helpful"), HELP)


@pytest.fixture(scope="session")
def varied_model(tmp_path_factory):
    return a_varied_model(tmp_path_factory.mktemp("varied"))
