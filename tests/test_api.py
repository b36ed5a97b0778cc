"""What users import: each namespace shows its functions and nothing else."""

import importlib
import pickle

import pytest

import dyngraph as dg
import sidebyside as sbs
import staticgraph as sg
from sidebyside import errors

PACKAGES = [dg, sg, sbs]


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_are_importable_from_every_package(package):
    module = importlib.import_module(f"{package.__name__}.errors")
    assert package.errors is module
    for error in errors.catalogue():
        assert getattr(module, error.__name__) is error


@pytest.mark.parametrize("error", errors.catalogue())
def test_what_an_error_is_called_when_it_ends_a_program_can_be_imported(error):
    assert error.__module__ == "oplibrary.errors"
    again = pickle.loads(pickle.dumps(error("what", cause="cause", fix="fix")))
    assert type(again) is error
    assert (again.what, again.cause, again.fix) == ("what", "cause", "fix")
