"""The promises about speed, as tests: ``python -m pytest bench/test_ratios.py``."""

import pytest

from bench.ratios import CHECKS, measured, row


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_promise_is_kept(check):
    pytest.importorskip("torch")
    missed = [row(ratio) for ratio in measured(check) if not ratio.kept]
    assert not missed, "\n".join(missed)
