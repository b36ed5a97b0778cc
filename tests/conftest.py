"""Settings of every test process."""

import os

# Several test processes share the cores, and BLAS threads that wait for a core another process
# holds make a product of small matrices a hundred times slower.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
