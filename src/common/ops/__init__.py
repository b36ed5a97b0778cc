"""The ops, one family a file; importing this package fills the registry."""

from common.ops import (
    elementwise,
    movement,
    reduction,
)

__all__ = ["elementwise", "movement", "reduction"]
