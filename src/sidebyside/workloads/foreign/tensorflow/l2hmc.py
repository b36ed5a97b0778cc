"""L2HMC: a Markov chain whose leapfrog steps are corrected by networks, and their training."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.primitives import glorot
from sidebyside.workloads.foreign.loops import scan
from sidebyside.workloads.workload import Workload

HIDDEN = 10
SCALE = 0.1
"""The length that a jump is compared with."""


class Network(NamedTuple):
    """Two hidden layers, of two points and the time; and a scale, a force and a gain from them."""

    first: Any
    second: Any
    time: Any
    bias: Any
    hidden: Any
    hidden_bias: Any
    scale: Any
    scale_bias: Any
    force: Any
    force_bias: Any
    gain: Any
    gain_bias: Any


class Parameters(NamedTuple):
    """The networks of momentum and of position, and the logarithm of the length of a step."""

    momentum: Network
    position: Network
    log_step: Any


def corrections(xp: Any, p: Any, first: Any, second: Any, time: Any) -> tuple[Any, Any, Any]:
    """Return scale, force and gain, each ``(n, 2)``."""
    hidden = xp.relu(first @ p.first + second @ p.second + (time @ p.time + p.bias))
    hidden = xp.relu(hidden @ p.hidden + p.hidden_bias)
    return (
        xp.tanh(hidden @ p.scale + p.scale_bias),
        hidden @ p.force + p.force_bias,
        xp.tanh(hidden @ p.gain + p.gain_bias),
    )


class _Leapfrog(NamedTuple):
    """What every step of a trajectory reads."""

    xp: Any
    parameters: Any
    precision: Any
    length: Any

    def forward(self, state: Any, mask: Any, time: Any) -> tuple[Any, Any, Any]:
        """Return position, momentum and the logarithm of the Jacobian after a step."""
        x, v, total = state
        v, total = self._kick(x, v, total, time)
        x, total = self._drift(x, v, total, mask, time)
        x, total = self._drift(x, v, total, 1 - mask, time)
        v, total = self._kick(x, v, total, time)
        return x, v, total

    def backward(self, state: Any, mask: Any, time: Any) -> tuple[Any, Any, Any]:
        """Undo `forward`."""
        x, v, total = state
        v, total = self._unkick(x, v, total, time)
        x, total = self._undrift(x, v, total, 1 - mask, time)
        x, total = self._undrift(x, v, total, mask, time)
        v, total = self._unkick(x, v, total, time)
        return x, v, total

    def _kick(self, x: Any, v: Any, total: Any, time: Any) -> tuple[Any, Any]:
        scale, force, half = self._momentum(x, time)
        v = v * self.xp.exp(half * scale) - half * force
        return v, total + self.xp.sum(half * scale, axis=1)

    def _unkick(self, x: Any, v: Any, total: Any, time: Any) -> tuple[Any, Any]:
        scale, force, half = self._momentum(x, time)
        v = (v + half * force) * self.xp.exp(-half * scale)
        return v, total - self.xp.sum(half * scale, axis=1)

    def _momentum(self, x: Any, time: Any) -> tuple[Any, Any, Any]:
        slope = x @ self.precision
        scale, force, gain = corrections(self.xp, self.parameters.momentum, x, slope, time)
        return scale, slope * self.xp.exp(self.length * gain) + force, 0.5 * self.length

    def _drift(self, x: Any, v: Any, total: Any, kept: Any, time: Any) -> tuple[Any, Any]:
        scale, force = self._position(x, v, kept, time)
        moved = x * self.xp.exp(self.length * scale) + self.length * force
        free = 1 - kept
        return kept * x + free * moved, total + self.xp.sum(free * self.length * scale, axis=1)

    def _undrift(self, x: Any, v: Any, total: Any, kept: Any, time: Any) -> tuple[Any, Any]:
        scale, force = self._position(x, v, kept, time)
        moved = (x - self.length * force) * self.xp.exp(-self.length * scale)
        free = 1 - kept
        return kept * x + free * moved, total - self.xp.sum(free * self.length * scale, axis=1)

    def _position(self, x: Any, v: Any, kept: Any, time: Any) -> tuple[Any, Any]:
        scale, force, gain = corrections(self.xp, self.parameters.position, kept * x, v, time)
        return scale, v * self.xp.exp(self.length * gain) + force


def energy(xp: Any, x: Any, v: Any, precision: Any) -> Any:
    """Return the potential of a Gaussian and the kinetic energy, of each row."""
    return 0.5 * (xp.sum((x @ precision) * x, axis=1) + xp.sum(v * v, axis=1))


def l2hmc(
    xp: Any, p: Any, x: Any, v: Any, ahead: Any, masks: Any, times: Any, precision: Any
) -> Any:
    """Return the loss of the sampler: jumps that are accepted should be long.

    Parameters
    ----------
    p : Parameters
    x, v : (n, 2)
        Positions and momenta.
    ahead : (n, 1)
        1 where the trajectory goes forward, 0 where it goes back.
    masks : (steps, 2)
        The coordinate that waits in the first half of a step.
    times : (steps, 2)
        Cosine and sine of the time.
    precision : (2, 2)
        Of the Gaussian that is sampled.

    References
    ----------
    D. Levy, M. Hoffman and J. Sohl-Dickstein, Generalizing Hamiltonian Monte Carlo with neural
    networks, ICLR 2018: https://arxiv.org/abs/1711.09268; as in A. Agrawal et al., TensorFlow
    Eager, SysML 2019: https://arxiv.org/abs/1903.01855: two dimensions, 10 leapfrog steps.
    """
    leapfrog = _Leapfrog(xp, p, precision, xp.exp(p.log_step))

    def step(states: Any, moment: Any) -> tuple[Any, Any]:
        (mask, time), (last_mask, last_time) = moment
        forward = leapfrog.forward(states[0], mask, time)
        backward = leapfrog.backward(states[1], last_mask, last_time)
        return (forward, backward), time

    start = (x, v, xp.sum(x * 0, axis=1))
    moments = ((masks, times), (xp.flip(masks, (0,)), xp.flip(times, (0,))))
    (forward, backward), _ = scan(xp, step, (start, start), moments)
    to_x, to_v, change = (
        way * each + (1 - way) * other
        for way, each, other in zip((ahead, ahead, ahead[:, 0]), forward, backward, strict=True)
    )
    gain = energy(xp, x, v, precision) - energy(xp, to_x, to_v, precision) + change
    accepted = xp.exp(-xp.relu(-gain))
    jump = xp.sum((to_x - x) ** 2, axis=1) * accepted + 1e-4
    return xp.mean(SCALE**2 / jump - jump / SCALE**2)


def network(rng: np.random.Generator) -> Network:
    """Draw a network whose corrections begin small."""

    def small(*shape: int) -> Any:
        return 0.1 * glorot(rng, *shape)

    return Network(
        glorot(rng, 2, HIDDEN),
        glorot(rng, 2, HIDDEN),
        glorot(rng, 2, HIDDEN),
        np.zeros(HIDDEN, np.float32),
        glorot(rng, HIDDEN, HIDDEN),
        np.zeros(HIDDEN, np.float32),
        small(HIDDEN, 2),
        np.zeros(2, np.float32),
        small(HIDDEN, 2),
        np.zeros(2, np.float32),
        small(HIDDEN, 2),
        np.zeros(2, np.float32),
    )


def _inputs(rng: np.random.Generator, size: int, *, steps: int = 10) -> tuple[Any, ...]:
    parameters = Parameters(network(rng), network(rng), np.array(math.log(0.1), np.float32))
    x, v = rng.standard_normal((2, size, 2), np.float32)
    ahead = (rng.random((size, 1)) < 0.5).astype(np.float32)
    masks = rng.permuted(np.tile(np.array([0, 1], np.float32), (steps, 1)), axis=1)
    angles = 2 * np.pi * np.arange(steps) / steps
    times = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    precision = (turn @ np.diag([0.01, 10.0]) @ turn.T).astype(np.float32)
    return parameters, x, v, ahead, masks, times, precision


L2HMC = Workload(
    l2hmc,
    inputs=_inputs,
    wrt=(0,),
    sizes=(200,),
    learning_rate=1e-3,
    name="l2hmc",
    title="L2HMC, 200 chains in two dimensions, 10 leapfrog steps, training step",
    description="Some thousand small operations, on 200 points of the plane.",
)
