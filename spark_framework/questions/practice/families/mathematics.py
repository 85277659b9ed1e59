"""Mathematics and statistics: arithmetic, equations, derivatives, data."""

from __future__ import annotations

import math
import random
import statistics

from spark_framework.questions.practice.calls import calculator, one_step, printed, python, solver, stats_finance, think
from spark_framework.questions.practice.family import Draft, family
from spark_framework.questions.practice.options import Amount


@family(
    "math",
    seen=("What is the value of {expression}?", "Compute {expression}.", "Evaluate the expression {expression}."),
    new=("The expression {expression} equals which number?", "Find the result of {expression}."),
)
def arithmetic(rng: random.Random) -> Draft:
    a, b, c = rng.randint(12, 99), rng.randint(3, 60), rng.randint(5, 200)
    expression, value = rng.choice(
        [
            (f"{a}*{b}+{c}", a * b + c),
            (f"{a}*{b}-{c}", a * b - c),
            (f"({a}+{c})*{b}", (a + c) * b),
            (f"{a * b}/{b}+{c}", a + c),
        ]
    )
    return Draft(
        slots={"expression": expression},
        answer=Amount(value),
        plan=one_step(calculator(expression), printed(expression), solver("eval", expression)),
    )


@family(
    "math",
    seen=(
        "Tom has {a} {things} and gets {b} more. How many {things} does he have now?",
        "A box holds {a} {things}. {b} {things} are added. How many are in the box?",
        "Ann owns {a} {things} and buys {b} {things}. How many does she own?",
    ),
    new=(
        "There were {a} {things} on a table and {b} were put there too. How many {things} are there?",
        "{a} {things} lie in one drawer and {b} in another. How many {things} is that in all?",
    ),
)
def simple_sum(rng: random.Random) -> Draft:
    a, b = rng.randint(3, 60), rng.randint(3, 60)
    expression = f"{a}+{b}"
    return Draft(
        slots={"a": a, "b": b, "things": rng.choice(["apples", "books", "coins", "cards", "pens"])},
        answer=Amount(a + b),
        wrong=(Amount(abs(a - b) or 1),),
        plan=one_step(calculator(expression), printed(expression), think(f"{a} + {b} = {a + b}")),
    )


@family(
    "math",
    seen=("Solve for x: {equation}.", "If {equation}, what is x?", "What value of x satisfies {equation}?"),
    new=("Find the number x such that {equation}.", "For which x does {equation} hold?"),
)
def linear_equation(rng: random.Random) -> Draft:
    a, x, b = rng.randint(2, 15), rng.randint(2, 40), rng.randint(1, 60)
    c = a * x + b
    inverse = f"({c}-{b})/{a}"
    return Draft(
        slots={"equation": f"{a}x + {b} = {c}"},
        answer=Amount(x),
        plan=one_step(solver("solve", f"{a}*x + {b} = {c}"), calculator(inverse), printed(inverse)),
    )


@family(
    "math",
    seen=(
        "What is the {kind} of {a} and {b}?",
        "Find the {kind} of {a} and {b}.",
        "Compute the {kind} of the numbers {a} and {b}.",
    ),
    new=("The {kind} of the integers {a} and {b} is", "Which number is the {kind} of {a} and {b}?"),
)
def common_divisor(rng: random.Random) -> Draft:
    factor = rng.randint(2, 15)
    a, b = (factor * k for k in rng.sample(range(2, 13), 2))
    kind, name = rng.choice([("greatest common divisor", "gcd"), ("least common multiple", "lcm")])
    divisor, multiple = math.gcd(a, b), math.lcm(a, b)
    call = f"{name}({a}, {b})"
    return Draft(
        slots={"kind": kind, "a": a, "b": b},
        answer=Amount(divisor if name == "gcd" else multiple),
        wrong=(Amount(multiple if name == "gcd" else divisor), Amount(a * b)),
        plan=one_step(calculator(call), python(f"import math; print(math.{call})"), solver("eval", call)),
    )


@family(
    "math",
    seen=(
        "What is the derivative of {function} with respect to x?",
        "Differentiate f(x) = {function}.",
        "Find f'(x) for f(x) = {function}.",
    ),
    new=("Which function is the derivative of {function}?", "The slope of the curve y = {function} at x is given by"),
)
def derivative(rng: random.Random) -> Draft:
    n, a, b = rng.randint(2, 5), rng.randint(2, 12), rng.randint(2, 30)

    def line(factor: int, power: int, rest: int) -> str:
        return f"{factor}*{'x' if power == 1 else f'x^{power}'} + {rest}"

    answer = line(a * n, n - 1, b)
    wrong = [
        line(a, n - 1, b),
        line(a * n, n, b),
        line(a * (n + 1), n - 1, b),
        line(a * n, n - 1, b + 1),
        line(a * n + 1, n - 1, b),
        line(a * (n - 1) + n, n + 1, b),
        line(a + n, n - 1, b),
        line(a * n, n + 1, 2 * b),
        line(a, n + 1, b),
        line(a * (n + 2), n, b),
    ]
    function = f"{a}*x^{n} + {b}*x"
    return Draft(
        slots={"function": function},
        answer=answer,
        wrong=[option for option in dict.fromkeys(wrong) if option != answer],
        plan=one_step(solver("diff", function), think(f"{a}*{n} = {a * n}, so the derivative is {answer}")),
    )


@family(
    "psychology",
    seen=(
        "Reaction times in seconds were {data}. What is the mean?",
        "Find the mean of the test scores {data}.",
        "Subjects scored {data}. What is their mean score?",
    ),
    new=("A sample of ratings contains {data}. Their average is", "What is the arithmetic mean of the scores {data}?"),
)
def mean_score(rng: random.Random) -> Draft:
    values = [rng.randint(2, 60) for _ in range(rng.randint(4, 6))]
    data = ", ".join(map(str, values))
    return Draft(
        slots={"data": data},
        answer=Amount(statistics.mean(values)),
        wrong=(Amount(statistics.median(values)),),
        plan=one_step(
            stats_finance("describe", values=values, fn="mean"),
            printed(f"sum([{data}])/{len(values)}"),
            calculator(f"({'+'.join(map(str, values))})/{len(values)}"),
        ),
    )


@family(
    "health",
    seen=(
        "Patients stayed {data} days in hospital. What is the median stay in days?",
        "Find the median of the pulse rates {data}.",
        "What is the median of the readings {data}?",
    ),
    new=("Of the blood values {data}, which is the median?", "The median of the measured doses {data} is"),
)
def median_reading(rng: random.Random) -> Draft:
    values = rng.sample(range(10, 100), rng.choice([5, 7]))
    data = ", ".join(map(str, values))
    return Draft(
        slots={"data": data},
        answer=Amount(statistics.median(values)),
        wrong=[Amount(value) for value in values if value != statistics.median(values)],
        plan=one_step(
            stats_finance("describe", values=values, fn="median"),
            printed(f"sorted([{data}])[{len(values) // 2}]"),
            think(f"Sorted: {' '.join(map(str, sorted(values)))}. The middle value = {statistics.median(values)}"),
        ),
    )


@family(
    "psychology",
    seen=(
        "A test has mean {mean} and standard deviation {sd}. What is the z score of {x}?",
        "Scores have mean {mean} and standard deviation {sd}. Find the z score of a score of {x}.",
        "What is the z score of {x} when the mean is {mean} and the standard deviation is {sd}?",
    ),
    new=(
        "By how many standard deviations does {x} differ from the mean {mean}, if one is {sd}?",
        "Standardise the score {x} (mean {mean}, standard deviation {sd}).",
    ),
)
def z_score(rng: random.Random) -> Draft:
    mean, sd, x = rng.randint(4, 12) * 10, rng.randint(4, 20), rng.randint(30, 160)
    value = (x - mean) / sd if x != mean else 1.0
    x = mean + sd if x == mean else x
    expression = f"({x}-{mean})/{sd}"
    return Draft(
        slots={"mean": mean, "sd": sd, "x": x},
        answer=Amount(value, digits=2),
        wrong=(Amount(-value, digits=2),),
        plan=one_step(calculator(expression), printed(expression), solver("solve", f"{sd}*z + {mean} = {x}")),
    )


@family(
    "psychology",
    seen=(
        "IQ is normal with mean 100 and standard deviation {sd}. What share of people is below {x}?",
        "Scores are normal (mean 100, standard deviation {sd}). What is the probability of a score below {x}?",
        "With mean 100 and standard deviation {sd}, what share of a normal distribution lies below {x}?",
    ),
    new=(
        "What part of a normal population (mean 100, standard deviation {sd}) has less than {x}?",
        "A trait is normal with mean 100 and standard deviation {sd}. Find P(X < {x}).",
    ),
)
def normal_share(rng: random.Random) -> Draft:
    sd = rng.choice([10, 12, 15, 16, 20])
    x = 100 + rng.choice([-1, 1]) * rng.randint(3, 2 * sd)
    z = f"({x}-100)/{sd}/2**0.5"
    others = [0.5 + 0.5 * math.erf(k / 10) for k in range(-15, 16)]
    share = 0.5 + 0.5 * math.erf((x - 100) / sd / 2**0.5)
    return Draft(
        slots={"sd": sd, "x": x},
        answer=Amount(share, digits=3),
        wrong=[Amount(other, digits=3) for other in (1 - share, *others)],
        plan=one_step(
            stats_finance("dist", name="normal", fn="cdf", x=x, params=[100, sd]),
            python(f"import math; print(0.5+0.5*math.erf({z}))"),
            solver("eval", f"0.5+0.5*erf({z})"),
        ),
    )


FAMILIES = (
    arithmetic,
    simple_sum,
    linear_equation,
    common_divisor,
    derivative,
    mean_score,
    median_reading,
    z_score,
    normal_share,
)
