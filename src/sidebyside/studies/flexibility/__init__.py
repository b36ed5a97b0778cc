"""The flexibility matrix: every example program run in every mode, and what happened.

An example is a Python file that says, in a tuple ``PROGRAMS``, what of it is to be compared::

    from sidebyside import Example

    def root(xp, number):                 # the program as Python writes it
        guess = number
        while xp.abs(guess * guess - number) > 1e-9:
            guess = (guess + number / guess) / 2
        return guess

    def root_rewritten(xp, number):       # the same for a static graph; optional
        return xp.while_loop(
            lambda guess: xp.abs(guess * guess - number) > 1e-9,
            lambda guess: (guess + number / guess) / 2,
            number,
        )

    def numbers():                        # the arguments of call after call
        yield (np.array(2.0),)
        yield (np.array(1e6),)

    PROGRAMS = (Example(root, inputs=numbers, rewrite=root_rewritten, wrt=(0,)),)

Each mode prepares the program once (traces it, compiles it) and then makes all calls with what it
prepared; the numbers must be those of dyngraph. So a branch that was frozen at the first call shows
at the second. `inputs` is read call by call: what it does between two ``yield``s happens between
two calls, which is how a program whose surroundings change is shown.

Nothing in the matrix is known beforehand: every cell is a run with a time limit, each program in a
process of its own for each library, so one that crashes or never ends is a cell and not the end.
"""

from __future__ import annotations

from sidebyside.studies.flexibility.example import Example
from sidebyside.studies.flexibility.matrix import measure_flexibility

__all__ = ["Example", "measure_flexibility"]
