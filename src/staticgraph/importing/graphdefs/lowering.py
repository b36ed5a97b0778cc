"""The branches and loops of TensorFlow 1: what its Switch, Merge, Enter and Exit ops stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from oplibrary.messages.errors import UnsupportedOpError


@dataclass
class Loop:
    """A frame of a graph.

    Attributes
    ----------
    enters, merges, switches, next_values : list
        Of each value that the loop carries: the op that brings the first one in, the op that has
        the one of this step, what hands it to the body, and the tensor that is the next one.
    constants : list
        Ops that bring in what stays the same.
    condition : tensor
    exits : dict
        Which carried value an op hands out, by the op's name.
    """

    name: str
    enters: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    merges: list[Any] = field(default_factory=list)
    switches: list[Any] = field(default_factory=list)
    next_values: list[Any] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)
    condition: Any = None

    @property
    def outside(self) -> list[Any]:
        """The tensors that the loop reads."""
        return [op.inputs[0] for op in (*self.enters, *self.constants)]


@dataclass
class Choice:
    """Merge ops that choose by one predicate: their inputs if it is false, and if it is true."""

    predicate: Any
    merges: list[Any]
    branches: tuple[list[Any], list[Any]]
    switches: list[Any]

    @property
    def outside(self) -> list[Any]:
        """The tensors that the choice and its branches read."""
        return [self.predicate, *[op.inputs[0] for op in self.switches]]


class Structure:
    """What the control flow ops of a graph stand for."""

    def __init__(self, graph: Any, line: Callable[[Any], Any]) -> None:
        self.line = line
        self.loops: dict[str, Loop] = {}
        self.of_exit: dict[str, Loop] = {}
        self._choices: dict[str, Choice] = {}
        self._carried: set[str] = set()
        operations = graph.get_operations()
        if any(op.type in ("Enter", "RefEnter") for op in operations):
            self._find_loops(operations)

    def _find_loops(self, operations: Iterable[Any]) -> None:
        for op in operations:
            if op.type == "RefEnter":
                raise self._irregular(op, "a variable of TensorFlow 1 is carried by a loop")
            if op.type != "Enter":
                continue
            name = op.get_attr("frame_name").decode()
            loop = self.loops.setdefault(name, Loop(name))
            if op.get_attr("is_constant"):
                loop.constants.append(op)
                continue
            merges = [user for user in op.outputs[0].consumers() if user.type == "Merge"]
            if not merges:  # carried, and read by nothing
                continue
            (merge,) = merges
            switch = next(
                user
                for user in merge.outputs[0].consumers()
                if user.type == "Switch" and user.inputs[1].op.type == "LoopCond"
            )
            nexts = [x.op for x in merge.inputs if x.op.type == "NextIteration"]
            loop.enters.append(op)
            loop.merges.append(merge)
            loop.switches.append(switch)
            loop.next_values.append(nexts[0].inputs[0])
            loop.condition = switch.inputs[1].op.inputs[0]
            self._carried.update((merge.name, switch.name))
            for user in switch.outputs[0].consumers():
                if user.type == "Exit":
                    loop.exits[user.name] = len(loop.enters) - 1
                    self.of_exit[user.name] = loop

    def is_choice(self, op: Any) -> bool:
        """Tell whether an op joins the branches of a `cond`."""
        return op.type == "Merge" and op.name not in self._carried

    def outside(self, op: Any) -> list[Any] | None:
        """Return the tensors that the branches or the loop of an op read; None of any other op."""
        if op.name in self.of_exit:
            return self.of_exit[op.name].outside
        return self.choice(op).outside if self.is_choice(op) else None

    def choice(self, merge: Any) -> Choice:
        """Return what a Merge op chooses between."""
        found = self._choices.get(merge.name)
        if found is None:
            found = self._choices[merge.name] = self._found(merge)
        return found

    def _found(self, merge: Any) -> Choice:
        predicates: dict[str, Any] = {}
        switches: dict[str, Any] = {}
        sides: dict[int, set[int]] = {}
        for i, start in enumerate(merge.inputs):
            # what is constant in a branch follows its pivot
            for tensor in self._switched(start, False) or self._switched(start, True):
                predicate = _origin(tensor.op.inputs[1])
                predicates[predicate.name] = predicate
                switches[tensor.op.name] = tensor.op
                sides.setdefault(i, set()).add(tensor.value_index)
        if len(predicates) != 1 or len(merge.inputs) != 2:
            raise self._irregular(merge, f"it joins branches of {len(predicates)} predicates")
        (predicate,) = predicates.values()
        if 0 in sides and len(sides[0]) == 1:
            of_false = 0 if sides[0] == {0} else 1
        elif sides.get(1) is not None and len(sides[1]) == 1:
            of_false = 1 if sides[1] == {0} else 0
        else:
            raise self._irregular(merge, "its branches cannot be told apart")
        return Choice(
            predicate,
            [merge],
            ([merge.inputs[of_false]], [merge.inputs[1 - of_false]]),
            list(switches.values()),
        )

    def _switched(self, start: Any, controls: bool) -> list[Any]:
        """Return the results of Switch ops that a tensor is computed from, the nearest ones."""
        found, seen, stack = [], set(), [start]
        while stack:
            tensor = stack.pop()
            if tensor.name in seen:
                continue
            seen.add(tensor.name)
            op = tensor.op
            if op.type in ("Switch", "RefSwitch"):
                if op.name not in self._carried:
                    found.append(tensor)
                continue
            if op.type in ("Enter", "Merge") and not self.is_choice(op):
                continue
            outside = self.outside(op)
            stack.extend(op.inputs if outside is None else outside)
            if controls:
                stack.extend(x for before in op.control_inputs for x in before.outputs)
        return found

    def _irregular(self, op: Any, why: str) -> UnsupportedOpError:
        return UnsupportedOpError(
            f"{op.type} {op.name}: {why}",
            cause="only what tf.cond and tf.while_loop make of these ops is read",
            fix="write it with tf.cond or tf.while_loop",
            source=self.line(op),
        )


def _origin(tensor: Any) -> Any:
    """Return the tensor that was handed on: branches have names of their own for a predicate."""
    while tensor.op.type == "Identity" and tensor.op.inputs[0].op.type != "Switch":
        tensor = tensor.op.inputs[0]
    return tensor
