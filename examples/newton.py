"""Newton's method with a convergence test and backtracking, on a century and a half of census data.

Three numbers describe the logistic growth of a population: its limit, its rate and the time of
half the limit. Each round asks the data what to do: the Hessian may not be positive, then the step
goes down the gradient; the full step may overshoot, then it is halved until the error falls; and
the gradient's length decides when to stop.

A static graph refuses at the first of these questions.
"""

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example

DECADES = np.arange(16.0)
POPULATION = np.array(
    """
    3.929 5.308 7.240 9.638 12.866 17.069 23.192 31.443
    38.558 50.156 62.948 75.995 91.972 105.711 122.775 131.669
    """.split(),
    float,
)
"""Millions of inhabitants of the United States, 1790 to 1940, by the census."""

START = (100.0, 0.2, 10.0)


def misfit(xp, parameters, decades, population):
    """Return the mean squared error of the logistic curve, in millions squared."""
    limit, rate, middle = parameters[0], parameters[1], parameters[2]
    error = limit * xp.sigmoid(rate * (decades - middle)) - population
    return xp.mean(error * error)


def fit(xp, parameters, decades, population, tolerance=1e-6, most=100):
    """Return the parameters at the minimum and one record a round."""

    def objective(p):
        return misfit(xp, p, decades, population)

    history = []
    for _ in range(most):
        value, gradient = xp.value_and_grad(objective)(parameters)
        if xp.max(xp.abs(gradient)) < tolerance:
            break
        curvature = xp.hessian(objective, parameters).numpy()
        direction = xp.tensor(-np.linalg.solve(curvature, gradient.numpy()))
        slope = xp.sum(gradient * direction)
        if slope >= 0:  # uphill: the Hessian is not positive here
            direction = -gradient
            slope = xp.sum(gradient * direction)
        length, halvings = 1.0, 0
        while objective(parameters + length * direction) > value + 1e-4 * length * slope:
            length, halvings = length / 2, halvings + 1
        parameters = parameters + length * direction
        history.append({"misfit": value.item(), "halvings": halvings, "length": length})
    return parameters, history


def fit_and_count(xp, parameters, decades, population):
    """Return the parameters at the minimum and the rounds it took."""
    parameters, history = fit(xp, parameters, decades, population)
    return parameters, len(history)


def starts():
    """Return several places to start from."""
    for start in (START, (180.0, 0.3, 12.0), (300.0, 0.1, 15.0)):
        yield np.array(start), DECADES, POPULATION


PROGRAMS = (Example(fit_and_count, inputs=starts),)


def run(xp=dg):
    """Fit the curve and say how the method got there."""
    inputs = (xp.tensor(np.array(START)), xp.tensor(DECADES), xp.tensor(POPULATION))
    parameters, history = fit(xp, *inputs)
    limit, rate, middle = parameters.tolist()
    return {
        "limit": limit,
        "rate": rate,
        "half_reached": 1790 + 10 * middle,
        "misfit": misfit(xp, parameters, *inputs[1:]).item(),
        "misfits": [each["misfit"] for each in history],
        "halvings": [each["halvings"] for each in history],
        "rounds": len(history),
    }


def declare():
    """Trace the same function: SBS-301 at the convergence test."""
    return sg.trace(lambda *inputs: fit(sg, *inputs)[0], np.array(START), DECADES, POPULATION)


def main():
    found = run()
    for round_, (value, halvings) in enumerate(zip(found["misfits"], found["halvings"])):
        print(f"round {round_:>2}: misfit {value:>12.4f}, step halved {halvings} times")
    print(
        f"limit {found['limit']:.1f} million, half of it in {found['half_reached']:.0f}, "
        f"misfit {found['misfit']:.4f}"
    )


if __name__ == "__main__":
    main()
