"""Small programs as users write them for NumPy: in place, in loops, by NumPy's own functions."""

import numpy as np

PROGRAMS = {}
"""By name: the program, and its arguments."""


def program(*arguments):
    """Return what enters a program with these arguments."""

    def enter(function):
        PROGRAMS[function.__name__] = (function, arguments)
        return function

    return enter


RNG = np.random.default_rng(5)
SIGNAL = RNG.normal(size=24)
IMAGE = RNG.integers(0, 16, (6, 8))
POINTS = RNG.normal(size=(20, 2)) + np.repeat([[0.0, 0.0], [4.0, 4.0]], 10, axis=0)
SYSTEM = RNG.normal(size=(5, 5)) + 5 * np.eye(5)
SIDE = RNG.normal(size=5)
GRID = np.pad(np.ones((1, 6)), ((0, 5), (0, 0)))


@program(GRID)
def heat(u):
    u = u.copy()
    for _ in range(8):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return u


@program(GRID)
def gauss_seidel(u):
    u = u.copy()
    for i in range(1, u.shape[0] - 1):
        for j in range(1, u.shape[1] - 1):
            u[i, j] = (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]) / 4
    return u


@program((IMAGE > 8).astype(int))
def life(board):
    board = board.copy()
    for _ in range(3):
        around = np.zeros_like(board)
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                if di or dj:
                    around += np.roll(board, (di, dj), axis=(0, 1))
        board = ((around == 3) | ((board == 1) & (around == 2))).astype(int)
    return board


@program(SYSTEM, SIDE)
def gauss_elimination(a, b):
    a, b = a.copy(), b.copy()
    n = len(b)
    for k in range(n):
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] -= factor * a[k, k:]
            b[i] -= factor * b[k]
    x = np.zeros_like(b)
    for i in reversed(range(n)):
        x[i] = (b[i] - a[i, i + 1 :] @ x[i + 1 :]) / a[i, i]
    return x


@program(SYSTEM @ SYSTEM.T)
def cholesky(a):
    n = a.shape[0]
    lower = np.zeros_like(a)
    for i in range(n):
        for j in range(i + 1):
            rest = a[i, j] - np.dot(lower[i, :j], lower[j, :j])
            lower[i, j] = np.sqrt(rest) if i == j else rest / lower[j, j]
    return lower


@program(SYSTEM)
def lu(a):
    a = a.copy()
    for k in range(a.shape[0] - 1):
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return np.tril(a, -1) + np.eye(5), np.triu(a)


@program(SYSTEM)
def gram_schmidt(a):
    q = np.zeros_like(a)
    for j in range(a.shape[1]):
        v = a[:, j].copy()
        for i in range(j):
            v -= np.dot(q[:, i], a[:, j]) * q[:, i]
        q[:, j] = v / np.linalg.norm(v)
    return q


@program(SYSTEM)
def power_iteration(a):
    v = np.ones_like(a[:, 0])
    for _ in range(20):
        v = a @ v
        v /= np.linalg.norm(v)
    return v, v @ a @ v


@program(POINTS)
def k_means(points):
    centers = points[[0, 10]]
    for _ in range(5):
        distances = np.linalg.norm(points[:, None] - centers[None], axis=2)
        labels = np.argmin(distances, axis=1)
        for k in range(2):
            member = (labels == k)[:, None]
            centers[k] = np.sum(np.where(member, points, 0.0), axis=0) / np.sum(member)
    return centers, labels


@program(SIGNAL)
def kalman(measured):
    estimate, error = np.zeros_like(measured), np.zeros_like(measured)
    x, p = measured[0], 1.0
    for k in range(len(measured)):
        p = p + 0.01
        gain = p / (p + 0.5)
        x = x + gain * (measured[k] - x)
        p = (1 - gain) * p
        estimate[k], error[k] = x, p
    return estimate, error


@program(IMAGE)
def histogram_equalisation(image):
    counts, _ = np.histogram(image, bins=16, range=(0, 16))
    running = np.cumsum(counts)
    lowest = np.min(np.where(running > 0, running, running[-1]))
    table = np.round((running - lowest) / (image.size - lowest) * 15).astype(np.int64)
    return table[image]


@program((IMAGE // 6).ravel())
def run_lengths(x):
    starts = np.flatnonzero(np.diff(x, prepend=-1))
    return x[starts], np.diff(starts, append=len(x))


@program(SIGNAL)
def moving_averages(x):
    window = np.ones(5) / 5
    running = np.cumsum(np.insert(x, 0, 0.0))
    smooth = np.zeros_like(x)
    smooth[0] = x[0]
    for i in range(1, len(x)):
        smooth[i] = 0.3 * x[i] + 0.7 * smooth[i - 1]
    return np.convolve(x, window, mode="valid"), (running[5:] - running[:-5]) / 5, smooth


@program((RNG.random((6, 6)) > 0.6).astype(float))
def page_rank(links):
    n = links.shape[0]
    out = links.sum(axis=1)
    moves = np.where(out[:, None] > 0, links / np.maximum(out, 1.0)[:, None], 1.0 / n)
    rank = np.full_like(out, 1.0 / n)
    for _ in range(30):
        rank = 0.15 / n + 0.85 * (rank @ moves)
    return rank


@program(RNG.uniform(1.0, 9.0, (6, 6)))
def floyd_warshall(distance):
    distance = distance.copy()
    np.fill_diagonal(distance, 0.0)
    for k in range(distance.shape[0]):
        np.minimum(distance, distance[:, k : k + 1] + distance[k], out=distance)
    return distance


@program(SIGNAL[:8])
def bubble_sort(x):
    x = x.copy()
    for end in range(len(x) - 1, 0, -1):
        for i in range(end):
            low, high = np.minimum(x[i], x[i + 1]), np.maximum(x[i], x[i + 1])
            x[i], x[i + 1] = low, high
    return x


@program(np.array([1.0, 1.0, 0.5]))
def lorenz(state):
    path = np.zeros_like(np.tile(state, (10, 1)))
    for step in range(10):
        x, y, z = state
        slope = np.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])
        state = state + 0.01 * slope
        path[step] = state
    return path


@program(np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0]))
def bodies(mass_at, masses):
    position, velocity = mass_at.copy(), np.zeros_like(mass_at)
    for _ in range(4):
        gap = position[None] - position[:, None]
        pull = masses[None] * gap / (gap**2 + 0.1) ** 1.5
        velocity += 0.1 * pull.sum(axis=1)
        position += 0.1 * velocity
    return position, velocity


@program(SIGNAL, RNG.normal(size=24))
def regression_by_gradient(x, y):
    w, b = np.zeros_like(x[0]), np.zeros_like(x[0])
    for _ in range(50):
        error = w * x + b - y
        w -= 0.1 * np.mean(error * x)
        b -= 0.1 * np.mean(error)
    return w, b


@program(POINTS)
def principal_components(points):
    centred = points - np.mean(points, axis=0)
    values, vectors = np.linalg.eigh(np.cov(centred.T))
    order = np.argsort(values)[::-1]
    vectors = vectors[:, order]
    return values[order], np.abs(vectors)


@program(SIGNAL)
def spectrum(x):
    windowed = (x - x.mean()) * np.hanning(len(x))
    power = np.abs(np.fft.rfft(windowed)) ** 2
    power[0] = 0.0
    return np.argmax(power), power / power.sum()


@program(SIGNAL)
def robust_scale(x):
    centre = np.median(x)
    spread = np.median(np.abs(x - centre))
    low, high = np.percentile(x, [5, 95])
    return np.clip((x - centre) / (1.4826 * spread), low, high), np.ptp(x)


@program(IMAGE.astype(float))
def sobel(image):
    padded = np.pad(image, 1, mode="edge")
    rows = padded[2:] - padded[:-2]
    across = padded[:, 2:] - padded[:, :-2]
    gx = across[:-2] + 2 * across[1:-1] + across[2:]
    gy = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    edges = np.hypot(gx, gy)
    edges[edges < 4.1] = 0.0
    return edges


@program(IMAGE.astype(float))
def integral_image(image):
    total = image.cumsum(axis=0).cumsum(axis=1)
    total = np.vstack([np.zeros_like(total[:1]), total])
    total = np.hstack([np.zeros_like(total[:, :1]), total])
    return total[3:, 3:] - total[:-3, 3:] - total[3:, :-3] + total[:-3, :-3]


@program(np.array([2.0, -3.0, 0.5]), SIGNAL)
def horner(coefficients, x):
    value = np.zeros_like(x)
    for c in coefficients:
        value *= x
        value += c
    return value, np.polyval(coefficients, x)


@program(np.array([0.2, 0.5, 0.3]), np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]))
def viterbi(start, moves):
    seen = [0, 2, 1, 1, 0]
    scores = np.log(start) + np.log(moves[:, seen[0]])
    back = []
    for symbol in seen[1:]:
        candidates = scores[:, None] + np.log(moves)
        back.append(np.argmax(candidates, axis=0))
        scores = np.max(candidates, axis=0) + np.log(moves[:, symbol])
    state = np.argmax(scores)
    path = [state]
    for pointers in back[::-1]:
        state = pointers[state]
        path.append(state)
    return np.stack(path[::-1])


@program(SIGNAL)
def peaks(x):
    inner = (x[1:-1] > x[:-2]) & (x[1:-1] > x[2:])
    return np.nonzero(inner)[0] + 1


@program(SIGNAL)
def into_a_plain_array(x):
    result = np.zeros(len(x))
    for i in range(len(x)):
        result[i] = 2 * x[i]
    return result


@program(SIGNAL)
def newton_until_it_stops(x):
    root = np.ones_like(x)
    while np.max(np.abs(root**3 - x)) > 1e-10:
        root -= (root**3 - x) / (3 * root**2 + 1e-12)
    return root


@program(np.abs(SIGNAL))
def square_roots_by_newton(x):
    root = np.ones_like(x)
    for _ in range(12):
        root = 0.5 * (root + x / root)
    assert np.allclose(root * root, x, atol=1e-3)
    return root
