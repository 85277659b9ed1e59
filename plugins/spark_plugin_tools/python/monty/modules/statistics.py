import math
from collections import Counter, namedtuple
from typing import Any

StatisticsError = ValueError
LinearRegression = namedtuple("LinearRegression", ["slope", "intercept"])


def mean(data: Any) -> Any:
    data = _some(data, "mean requires at least one data point")
    return _divide(_total(data), len(data))


def fmean(data: Any, weights: Any = None) -> float:
    data = _some(data, "fmean requires at least one data point")
    if weights is None:
        return math.fsum(data) / len(data)
    weights = list(weights)
    return math.fsum([x * w for x, w in zip(data, weights, strict=True)]) / math.fsum(weights)


def geometric_mean(data: Any) -> float:
    data = _some(data, "geometric mean requires a non-empty dataset")
    return math.exp(math.fsum([math.log(x) for x in data]) / len(data))


def harmonic_mean(data: Any, weights: Any = None) -> Any:
    data = _some(data, "harmonic_mean requires at least one data point")
    weights = [1] * len(data) if weights is None else list(weights)
    return sum(weights) / math.fsum([w / x for x, w in zip(data, weights, strict=True)])


def median(data: Any) -> Any:
    data = sorted(_some(data, "no median for empty data"))
    middle = len(data) // 2
    return data[middle] if len(data) % 2 else (data[middle - 1] + data[middle]) / 2


def median_low(data: Any) -> Any:
    data = sorted(_some(data, "no median for empty data"))
    return data[(len(data) - 1) // 2]


def median_high(data: Any) -> Any:
    data = sorted(_some(data, "no median for empty data"))
    return data[len(data) // 2]


def mode(data: Any) -> Any:
    return multimode(_some(data, "no mode for empty data"))[0]


def multimode(data: Any) -> list[Any]:
    counts = Counter(data)
    most = max(counts.values()) if counts else 0
    return [value for value, count in counts.items() if count == most]


def pvariance(data: Any, mu: Any = None) -> Any:
    data = _some(data, "pvariance requires at least one data point")
    return _spread(data, mu, len(data))


def variance(data: Any, xbar: Any = None) -> Any:
    data = list(data)
    if len(data) < 2:
        raise StatisticsError("variance requires at least two data points")
    return _spread(data, xbar, len(data) - 1)


def pstdev(data: Any, mu: Any = None) -> float:
    return math.sqrt(pvariance(data, mu))


def stdev(data: Any, xbar: Any = None) -> float:
    data = list(data)
    if len(data) < 2:
        raise StatisticsError("stdev requires at least two data points")
    return math.sqrt(variance(data, xbar))


def quantiles(data: Any, n: int = 4, method: str = "exclusive") -> list[Any]:
    data = sorted(data)
    if len(data) < 2:
        raise StatisticsError("must have at least two data points")
    if method == "inclusive":
        places = [(i * (len(data) - 1) // n, i * (len(data) - 1) % n) for i in range(1, n)]
        return [(data[j] * (n - part) + data[j + 1] * part) / n for j, part in places]
    cuts = []
    for i in range(1, n):
        j = min(max(i * (len(data) + 1) // n, 1), len(data) - 1)
        part = i * (len(data) + 1) - j * n
        cuts.append((data[j - 1] * (n - part) + data[j] * part) / n)
    return cuts


def covariance(x: Any, y: Any) -> float:
    x, y, xbar, ybar = _pairs(x, y, "covariance")
    return math.fsum([(a - xbar) * (b - ybar) for a, b in zip(x, y, strict=True)]) / (len(x) - 1)


def correlation(x: Any, y: Any) -> float:
    x, y, xbar, ybar = _pairs(x, y, "correlation")
    sxy = math.fsum([(a - xbar) * (b - ybar) for a, b in zip(x, y, strict=True)])
    sxx = math.fsum([(a - xbar) ** 2 for a in x])
    syy = math.fsum([(b - ybar) ** 2 for b in y])
    if sxx == 0 or syy == 0:
        raise StatisticsError("at least one of the inputs is constant")
    return sxy / math.sqrt(sxx * syy)


def linear_regression(x: Any, y: Any) -> Any:
    x, y, xbar, ybar = _pairs(x, y, "linear regression")
    sxx = math.fsum([(a - xbar) ** 2 for a in x])
    if sxx == 0:
        raise StatisticsError("x is constant")
    slope = math.fsum([(a - xbar) * (b - ybar) for a, b in zip(x, y, strict=True)]) / sxx
    return LinearRegression(slope, ybar - slope * xbar)


class NormalDist:
    def __init__(self, mu: float = 0.0, sigma: float = 1.0) -> None:
        if sigma < 0:
            raise StatisticsError("sigma must be non-negative")
        self.mean = float(mu)
        self.stdev = float(sigma)
        self.variance = self.stdev**2

    def pdf(self, x: float) -> float:
        return math.exp(-(((x - self.mean) / self.stdev) ** 2) / 2) / (self.stdev * math.sqrt(math.tau))

    def cdf(self, x: float) -> float:
        return 0.5 * math.erfc((self.mean - x) / (self.stdev * math.sqrt(2.0)))

    def inv_cdf(self, p: float) -> float:
        if not 0.0 < p < 1.0:
            raise StatisticsError("p must be in the range 0.0 < p < 1.0")
        return self.mean + self.stdev * (_quantile(p) if p < 0.5 else -_quantile(1 - p))

    def zscore(self, x: float) -> float:
        return (x - self.mean) / self.stdev

    def __repr__(self) -> str:
        return f"NormalDist(mu={self.mean}, sigma={self.stdev})"


def _quantile(p: float) -> float:
    """Where the standard normal distribution reaches p <= 1/2: by bisection, to the last bit."""
    low, high = -40.0, 0.0
    while low < (middle := (low + high) / 2) < high:
        if 0.5 * math.erfc(-middle / math.sqrt(2.0)) < p:
            low = middle
        else:
            high = middle
    return high


def _some(data: Any, otherwise: str) -> list[Any]:
    values = list(data)
    if not values:
        raise StatisticsError(otherwise)
    return values


def _total(data: list[Any]) -> Any:
    return math.fsum(data) if all(isinstance(x, float) for x in data) else sum(data)


def _divide(total: Any, n: int) -> Any:
    """Integers stay integers where possible, as in the standard library."""
    return total // n if isinstance(total, int) and total % n == 0 else total / n


def _spread(data: list[Any], center: Any, n: int) -> Any:
    if center is None and all(isinstance(x, int) for x in data):  # exact
        size, total = len(data), sum(data)
        return _divide(size * sum([x * x for x in data]) - total * total, size * n)
    center = mean(data) if center is None else center
    return _divide(_total([(x - center) ** 2 for x in data]), n)


def _pairs(x: Any, y: Any, what: str) -> tuple[list[Any], list[Any], float, float]:
    x, y = list(x), list(y)
    if len(x) != len(y):
        raise StatisticsError(f"{what} requires that both inputs have same number of data points")
    if len(x) < 2:
        raise StatisticsError(f"{what} requires at least two data points")
    return x, y, math.fsum(x) / len(x), math.fsum(y) / len(y)
