from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_folder_shadows_the_standard_library():
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "trainer" / "__init__.py").exists()


def test_tests_are_no_packages():
    assert not list((ROOT / "tests").rglob("__init__.py"))
