"""The real data that workloads and examples run on: digit images, measurements and a text.

Everything comes with Python or with scikit-learn; nothing is fetched over a network. Each data set
is read once a process and handed out read-only.
"""

from __future__ import annotations

import functools
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oplibrary.messages.errors import MissingPackageError
from oplibrary.values.types import Array
from sidebyside.workloads.workload import Splits

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
"""The characters of `text`: the newline and printable ASCII."""


class Split(NamedTuple):
    """A data set cut into two parts that share no sample.

    Attributes
    ----------
    train_x, train_y, test_x, test_y : ndarray
        One sample a row, float32; one class or number a sample.
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array


def _bundled(name: str) -> Any:
    try:
        import sklearn.datasets
    except ImportError:
        raise MissingPackageError(
            f"the data set {name!r} comes with scikit-learn, which is not installed",
            cause="real images and measurements are read from that package",
            fix="run: pip install 'sidebyside[examples]'",
        ) from None
    return getattr(sklearn.datasets, f"load_{name}")()


def _split(x: Array, y: Array, test: int) -> Split:
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    parts = Split(x[test:], y[test:], x[:test], y[:test])
    for part in parts:
        part.flags.writeable = False
    return parts


@functools.cache
def digits() -> Split:
    """Return 1,797 images of handwritten digits, 8x8, as rows of 64 brightnesses in [0, 1].

    1,437 of them are for training and 360 for testing; the split is always the same.

    Raises
    ------
    MissingPackageError
        If scikit-learn is not installed.

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, UCI, 1998.
    """
    table = _digits_table()
    return _split(table[:, :-1] / 16, table[:, -1].astype(np.int64), test=360)


def _digits_table() -> Array:
    """Return 64 brightnesses from 0 to 16 and the digit of each image.

    scikit-learn takes a second to load, and all that is wanted is a table that lies in it.
    """
    found = None if "sklearn.datasets" in sys.modules else find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    data = _bundled("digits")
    table: Array = np.column_stack([data.data, data.target])
    return table


@functools.cache
def breast_cancer() -> Split:
    """Return 569 tumours, 30 standardised measurements each, and 1 for benign, -1 for malignant.

    Raises
    ------
    MissingPackageError
        If scikit-learn is not installed.

    References
    ----------
    W. Street, W. Wolberg and O. Mangasarian, Nuclear feature extraction for breast tumor
    diagnosis, 1993.
    """
    data = _bundled("breast_cancer")
    return _split(_standardised(data.data), data.target * 2 - 1, test=114)


@functools.cache
def diabetes() -> Split:
    """Return 442 patients, 10 measurements each, and the course of their disease; standardised.

    Raises
    ------
    MissingPackageError
        If scikit-learn is not installed.

    References
    ----------
    B. Efron et al., Least angle regression, Annals of Statistics 32, 2004.
    """
    data = _bundled("diabetes")
    course = _standardised(data.target[:, None])[:, 0].astype(np.float32)
    return _split(_standardised(data.data), course, test=88)


def _standardised(x: Array) -> Array:
    standardised: Array = (x - x.mean(axis=0)) / x.std(axis=0)
    return standardised


@functools.cache
def text() -> str:
    """Return Python's own reference texts, as ``help()`` shows them: some 460,000 characters.

    Characters outside `ALPHABET` are replaced by spaces.

    Raises
    ------
    MissingPackageError
        If the installation left out ``pydoc_data``, a part of the standard library.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise MissingPackageError(
            "pydoc_data.topics is missing from this Python",
            cause="the text is the standard library's own reference, which was left out here",
            fix="install the full standard library (on Debian: apt install libpython3-stdlib)",
        ) from None
    known = frozenset(ALPHABET)
    whole = "\n".join(topics[name] for name in sorted(topics))
    return "".join(c if c in known else " " for c in whole)


@functools.cache
def text_ids() -> Array:
    """Return `text` as an int64 array of positions in `ALPHABET`."""
    position = {character: i for i, character in enumerate(ALPHABET)}
    ids = np.array([position[character] for character in text()], np.int64)
    ids.flags.writeable = False
    return ids


def one_hot(classes: Array, count: int) -> Array:
    """Return float32 rows that hold a 1 in the column of each class.

    Examples
    --------
    >>> one_hot(np.array([1, 0]), 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    return np.eye(count, dtype=np.float32)[classes]


def digit_splits(*shape: int) -> Splits:
    """Return the digit images, each of a shape that holds 64 brightnesses, and one-hot classes."""
    data = digits()
    return Splits(
        (data.train_x.reshape(-1, *shape), one_hot(data.train_y, 10)),
        (data.test_x.reshape(-1, *shape), one_hot(data.test_y, 10)),
    )
