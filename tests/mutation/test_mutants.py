"""The mutation run itself: what is drawn, and that each edit is one that Python can read."""

import ast
from collections import Counter

from tests.mutation.mutants import KINDS, Mutant, draw
from tests.mutation.run import ROOT, ops_by, read_records, summary


def test_a_seed_draws_the_same_mutants_of_every_kind():
    drawn = draw(ROOT, 60, seed=1)
    assert drawn == draw(ROOT, 60, seed=1) != draw(ROOT, 60, seed=2)
    assert Counter(mutant.kind for mutant in drawn) == dict.fromkeys(KINDS, 20)
    assert len({mutant.key for mutant in drawn}) == 60


def test_each_edit_can_be_read_and_changes_the_code():
    for mutant in draw(ROOT, 200, seed=0):
        text = (ROOT / mutant.file).read_text()
        changed = ast.parse(mutant.apply(text))
        assert ast.dump(changed) != ast.dump(ast.parse(text)), mutant


def test_what_is_recorded_is_read_again(tmp_path):
    import json

    (mutant,) = draw(ROOT, 1, seed=0)
    lines = [
        mutant.record() | {"outcome": outcome, "test": "", "seconds": 1.0}
        for outcome in ("survived the tests of the op", "caught by the whole suite")
    ]
    path = tmp_path / "mutants.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = read_records(path)
    assert records == {mutant.key: lines[1]}
    assert f"{mutant.kind}: 1 of 1 caught" in summary([lines[1]])
    assert mutant.file in summary([lines[0]])


def test_a_file_without_ops_is_tried_by_the_ops_of_those_that_use_it():
    file = "src/common/oplibrary/ops/image_lowering.py"
    found = ops_by(Mutant("gradient", file, 1, 0, "", "", ("image_lowering",)), ROOT)
    assert {"convolution", "max_pool", "sum_pool"} <= set(found)
    own = ("pow",)
    assert ops_by(Mutant("gradient", file, 1, 0, "", "", own), ROOT) == own
