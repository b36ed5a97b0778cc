"""A reinforcement-learning episode: balance a pole on a cart, and learn from what happened.

The cart's physics is plain NumPy. In each step the policy gives a probability, a coin decides on
the push, the world answers, and the episode ends when the pole falls: its length, and with it the
graph that ``backward()`` goes through, is decided by the actions taken. Training is REINFORCE.

A static graph refuses where the coin is compared with the probability.
"""

import math

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example

HIDDEN = 16
LONGEST = 200


def fall(state, push):
    """Return the state a fiftieth of a second later, and whether the pole is still up.

    A. Barto, R. Sutton and C. Anderson, Neuronlike adaptive elements that can solve difficult
    learning control problems, 1983.
    """
    position, velocity, angle, spin = state
    force = 10.0 if push else -10.0
    swing = (force + 0.05 * spin * spin * math.sin(angle)) / 1.1
    turning = (9.8 * math.sin(angle) - math.cos(angle) * swing) / (
        0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1)
    )
    thrust = swing - 0.05 * turning * math.cos(angle) / 1.1
    position, velocity = position + 0.02 * velocity, velocity + 0.02 * thrust
    angle, spin = angle + 0.02 * spin, spin + 0.02 * turning
    upright = abs(position) < 2.4 and abs(angle) < 12 * math.pi / 180
    return np.array([position, velocity, angle, spin], np.float32), upright


def push_right(xp, weights, state, coin):
    """Return whether to push the cart to the right, and the log-probability of that decision."""
    inward, outward = weights
    probability = xp.sigmoid(xp.sum(xp.tanh(state @ inward) * outward))
    if coin < probability:
        return True, xp.log(probability)
    return False, xp.log(1 - probability)


def episode(xp, weights, rng):
    """Balance until the pole falls; return the log-probabilities of all actions."""
    state = rng.uniform(-0.05, 0.05, 4).astype(np.float32)
    decisions = []
    upright = True
    while upright and len(decisions) < LONGEST:
        push, decision = push_right(xp, weights, xp.tensor(state), rng.random())
        decisions.append(decision)
        state, upright = fall(state, push)
    return decisions


START = np.array([0.02, 0.0, -0.03, 0.0], np.float32)


def balance(xp, weights, coins):
    """Return the log-probability of an episode's actions and its length; the coins are given."""
    state, upright = START, True
    total, steps = 0, 0
    while upright and steps < len(coins):
        push, decision = push_right(xp, weights, xp.asarray(state), coins[steps])
        total, steps = total + decision, steps + 1
        state, upright = fall(state, push)
    return total, steps


def fall_rewritten(xp, state, push):
    """Return the same as `fall`, computed with arrays."""
    position, velocity, angle, spin = (state[i] for i in range(4))
    force = xp.where(push, xp.asarray(np.float32(10)), xp.asarray(np.float32(-10)))
    swing = (force + 0.05 * spin * spin * xp.sin(angle)) / 1.1
    turning = (9.8 * xp.sin(angle) - xp.cos(angle) * swing) / (
        0.5 * (4 / 3 - 0.1 * xp.cos(angle) ** 2 / 1.1)
    )
    thrust = swing - 0.05 * turning * xp.cos(angle) / 1.1
    position, velocity = position + 0.02 * velocity, velocity + 0.02 * thrust
    angle, spin = angle + 0.02 * spin, spin + 0.02 * turning
    upright = xp.logical_and(xp.abs(position) < 2.4, xp.abs(angle) < 12 * math.pi / 180)
    return xp.stack([position, velocity, angle, spin]), upright


def balance_rewritten(xp, weights, coins):
    """Return the same; the world is part of the graph, since it lies inside the loop."""
    inward, outward = weights

    def goes_on(now):
        _, upright, _, steps = now
        return xp.logical_and(upright, steps < coins.shape[0])

    def act(now):
        state, _, total, steps = now
        probability = xp.sigmoid(xp.sum(xp.tanh(state @ inward) * outward))
        push = coins[steps] < probability
        decision = xp.log(xp.where(push, probability, 1 - probability))
        state, upright = fall_rewritten(xp, state, push)
        return state, upright, total + decision, steps + 1

    begin = xp.asarray(START), xp.asarray(True), xp.asarray(np.float32(0)), xp.asarray(0)
    _, _, total, steps = xp.while_loop(goes_on, act, begin)
    return total, steps


def coins():
    """Return the coins of several episodes, with one policy."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        yield initial_weights(), rng.random(LONGEST, dtype=np.float32)


PROGRAMS = (Example(balance, inputs=coins, rewrite=balance_rewritten, wrt=(0,)),)


def initial_weights():
    rng = np.random.default_rng(0)
    return [
        rng.normal(0, 0.5, (4, HIDDEN)).astype(np.float32),
        rng.normal(0, 0.1, HIDDEN).astype(np.float32),
    ]


def run(xp=dg, episodes=150, rate=0.02):
    """Learn by trial and error; return the length of each episode.

    R. Williams, Simple statistical gradient-following algorithms for connectionist reinforcement
    learning, 1992. A decision's credit is the time the pole stayed up after it, compared with what
    is usual.
    """
    rng = np.random.default_rng(0)
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    lengths = []
    for _ in range(episodes):
        decisions = episode(xp, weights, rng)
        lengths.append(len(decisions))
        credit = np.cumsum(0.97 ** np.arange(len(decisions)))[::-1].astype(np.float32)
        credit = (credit - credit.mean()) / (credit.std() + 1e-6)
        loss = -xp.sum(xp.stack(decisions) * xp.tensor(credit.copy()))
        loss.backward()
        with xp.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.grad = None
    return {
        "lengths": lengths,
        "first": float(np.mean(lengths[:20])),
        "last": float(np.mean(lengths[-20:])),
    }


def declare():
    """Trace the policy: SBS-301 at ``if coin < probability``."""
    state = sg.TensorType((4,), "float32")
    coin = sg.TensorType((), "float32")
    return sg.trace(lambda w, s, c: push_right(sg, w, s, c), initial_weights(), state, coin)


def main():
    found = run()
    for start in range(0, len(found["lengths"]), 25):
        part = found["lengths"][start : start + 25]
        print(f"episodes {start:>3} to {start + len(part) - 1:>3}: {np.mean(part):>5.1f} steps")


if __name__ == "__main__":
    main()
