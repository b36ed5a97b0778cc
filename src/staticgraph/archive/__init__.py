"""Archives: a program in one file, opened again without the Python code that declared it.

A file is a zip of ``program.json``, the program as it was lowered, before any pass, and of one
``.npy`` an array. Reading runs no code: nothing in it is a pickle. In reading order: `values` (what
stands for an attribute, a type, a structure), `operations` (the ops that files name), `writing`,
`reading`, `container` (the zip) and `programs` (the two functions).
"""

from staticgraph.archive import pickling as pickling
from staticgraph.archive.programs import open_program as open_program
from staticgraph.archive.programs import save_program as save_program
