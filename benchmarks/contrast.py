"""Does the `contrast` judge rank candidates that belong to a question above those that do not?

    python benchmarks/contrast.py                       # SmolLM2-135M
    python benchmarks/contrast.py --model models/mine --dtype bfloat16

16 hand-written sets, each with good and bad candidates of one question:

unrelated  the bad candidates are about something else
topic      the bad candidates are about the same topic and do not help
copy       the bad candidates repeat the question or its options and find nothing

For each kind: the share of (good, bad) pairs of one set in which the good candidate has the higher raw value (the AUC;
0.5 is chance). The sets are few, easy to read, and not drawn from a run: they show what the method can and cannot do,
not how good it is. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from typing import Any, NamedTuple

from spark_framework.api import Candidate, JudgeRequest, Question
from spark_plugin_judges.local.contrast import SMOLLM2, Contrast


class Case(NamedTuple):
    kind: str
    question: Question
    good: list[Candidate]
    bad: list[Candidate]


def question(text: str, *options: str) -> Question:
    return Question(id=text, text=text, options=options, answer=None, category="", source="benchmarks/contrast.py")


def call(action: str, observation: str, **arguments: Any) -> Candidate:
    return Candidate(
        action=action, arguments=arguments, observation=observation, ok=not observation.startswith("error")
    )


def thought(text: str) -> Candidate:
    return call("think", "go on", thought=text)


MOLES = question("How many moles are in 36.03 g of H2O?", "2 mol", "18.02 mol", "0.5 mol")
PLANET = question("Which planet of the solar system is the largest?", "Mars", "Jupiter", "Venus")
CUBE = question("What is the derivative of x^3 at x = 2?", "6", "8", "12")
WALL = question("In which year did the Berlin Wall fall?", "1961", "1989", "1991")
BOND = question(
    "A bond of 1,000 dollars pays 5 % simple interest a year. How much interest is paid in 3 years?",
    "50",
    "150",
    "157.63",
)
EPHEMERAL = question("What does the word 'ephemeral' mean?", "lasting a short time", "very heavy", "made of glass")
DEVIATION = question("What is the standard deviation of 2, 4, 4, 4, 5, 5, 7, 9?", "2", "4", "5")
AUSTEN = question("Who wrote the novel 'Pride and Prejudice'?", "Charlotte Bronte", "Jane Austen", "George Eliot")

CASES = [
    Case(
        "unrelated",
        MOLES,
        [call("calculator", "2", expression="36.03/18.015")],
        [
            call("dictionary", "harp (noun): a large stringed instrument", word="harp"),
            call(
                "encyclopedia",
                "The French Revolution began in 1789 with the storming of the Bastille.",
                query="French Revolution",
            ),
            call("calculator", "56", expression="7*8"),
        ],
    ),
    Case(
        "unrelated",
        PLANET,
        [
            call(
                "encyclopedia",
                "Jupiter is the largest planet in the solar system, more than twice as massive as all others together.",
                query="largest planet",
            )
        ],
        [
            call("science", "58.44 g/mol", op="molar_mass", formula="NaCl"),
            call("dictionary", "tax (noun): money that people pay to a government", word="tax"),
            call("search", "Mix flour, water, salt and yeast; let the dough rise for two hours.", query="bread recipe"),
        ],
    ),
    Case(
        "unrelated",
        CUBE,
        [call("solver", "3*x**2; at x = 2: 12", expression="diff(x**3, x)")],
        [
            call(
                "encyclopedia",
                "The Amazon is the river with the largest discharge of water in the world.",
                query="Amazon river",
            ),
            call("stats_finance", "6", op="mean", values=[4, 5, 9]),
            call("dictionary", "lantern (noun): a lamp with a transparent case", word="lantern"),
        ],
    ),
    Case(
        "unrelated",
        WALL,
        [
            call(
                "search",
                "The Berlin Wall was opened on 9 November 1989, and its demolition began soon after.",
                query="fall of the Berlin Wall",
            )
        ],
        [
            call("calculator", "59.67", expression="19.89*3"),
            call("science", "7.87 g/cm3", op="density", substance="iron"),
            call("dictionary", "oat (noun): a cereal plant", word="oat"),
        ],
    ),
    Case(
        "unrelated",
        BOND,
        [call("stats_finance", "150", op="simple_interest", principal=1000, rate=0.05, years=3)],
        [
            call(
                "encyclopedia",
                "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
                query="photosynthesis",
            ),
            call("search", "Hyperion, a coast redwood, is 116 metres tall.", query="tallest tree"),
            call("dictionary", "verb (noun): a word that names an action", word="verb"),
        ],
    ),
    Case(
        "unrelated",
        EPHEMERAL,
        [call("dictionary", "ephemeral (adjective): lasting for only a short time", word="ephemeral")],
        [
            call("calculator", "1024", expression="2**10"),
            call("science", "44.01 g/mol", op="molar_mass", formula="CO2"),
            call("encyclopedia", "Napoleon was crowned emperor of the French in 1804.", query="Napoleon"),
        ],
    ),
    Case(
        "topic",
        MOLES,
        [
            call("calculator", "2", expression="36.03/18.015"),
            call("science", "18.015 g/mol", op="molar_mass", formula="H2O"),
        ],
        [
            call("science", "58.44 g/mol", op="molar_mass", formula="NaCl"),
            call("encyclopedia", "Water covers about 71 % of the surface of the Earth.", query="water"),
            call("calculator", "54", expression="36+18"),
        ],
    ),
    Case(
        "topic",
        PLANET,
        [
            call(
                "encyclopedia",
                "Jupiter is the fifth planet from the Sun and the largest in the solar system.",
                query="Jupiter",
            )
        ],
        [
            call("encyclopedia", "Pluto is a dwarf planet in the Kuiper belt, discovered in 1930.", query="Pluto"),
            call("encyclopedia", "The Moon orbits the Earth in about 27 days.", query="Moon"),
            call("search", "A telescope gathers light with a lens or a mirror.", query="telescope"),
        ],
    ),
    Case(
        "topic",
        WALL,
        [
            call(
                "encyclopedia",
                "The Berlin Wall divided the city from 1961 until it was opened on 9 November 1989.",
                query="Berlin Wall",
            )
        ],
        [
            call("encyclopedia", "Berlin is the capital of Germany and has 3.7 million inhabitants.", query="Berlin"),
            call("encyclopedia", "The Great Wall of China is more than 20,000 km long.", query="Great Wall"),
            call("search", "Two coats of paint are enough for most walls.", query="wall paint"),
        ],
    ),
    Case(
        "topic",
        CUBE,
        [call("solver", "12", expression="diff(x**3, x).subs(x, 2)")],
        [
            call("solver", "[-3, 3]", expression="solve(x**2 - 9, x)"),
            call("solver", "-cos(x)", expression="integrate(sin(x), x)"),
            call("calculator", "5", expression="45/9"),
        ],
    ),
    Case(
        "topic",
        DEVIATION,
        [call("stats_finance", "2", op="stdev", values=[2, 4, 4, 4, 5, 5, 7, 9])],
        [
            call("stats_finance", "20", op="mean", values=[10, 20, 30]),
            call("dictionary", "deviation (noun): the act of departing from a course", word="deviation"),
            call(
                "encyclopedia",
                "The normal distribution is a continuous probability distribution.",
                query="normal distribution",
            ),
        ],
    ),
    Case(
        "topic",
        AUSTEN,
        [
            call(
                "search",
                "Pride and Prejudice is a novel of 1813 by the English author Jane Austen.",
                query="Pride and Prejudice author",
            )
        ],
        [
            call(
                "search",
                "Great Expectations is a novel by Charles Dickens, published in 1861.",
                query="Great Expectations",
            ),
            call("dictionary", "prejudice (noun): an opinion that is not based on reason", word="prejudice"),
            call("encyclopedia", "A novel is a long work of prose fiction.", query="novel"),
        ],
    ),
    Case(
        "copy",
        MOLES,
        [call("calculator", "2", expression="36.03/18.015")],
        [
            call("search", "no result", query="How many moles are in 36.03 g of H2O?"),
            thought("How many moles are in 36.03 g of H2O? The options are 2 mol, 18.02 mol, 0.5 mol."),
            call("dictionary", "error: there is no entry for moles", word="moles"),
        ],
    ),
    Case(
        "copy",
        PLANET,
        [
            call(
                "encyclopedia",
                "Jupiter is the fifth planet from the Sun and the largest in the solar system.",
                query="Jupiter",
            )
        ],
        [
            call("search", "no result", query="Which planet of the solar system is the largest?"),
            thought("Mars, Jupiter, Venus."),
            call("calculator", "error: unknown name Mars", expression="Mars + Jupiter + Venus"),
        ],
    ),
    Case(
        "copy",
        WALL,
        [call("search", "The Berlin Wall was opened on 9 November 1989.", query="fall of the Berlin Wall")],
        [
            call("search", "no result", query="In which year did the Berlin Wall fall?"),
            call("calculator", "5941", expression="1961+1989+1991"),
            thought("The question asks in which year the Berlin Wall fell."),
        ],
    ),
    Case(
        "copy",
        AUSTEN,
        [
            call(
                "search",
                "Pride and Prejudice is a novel of 1813 by the English author Jane Austen.",
                query="Pride and Prejudice author",
            )
        ],
        [
            call("search", "no result", query="Who wrote the novel 'Pride and Prejudice'?"),
            thought("Charlotte Bronte, Jane Austen or George Eliot wrote the novel Pride and Prejudice."),
            call("dictionary", "error: one word, please", word="Pride and Prejudice"),
        ],
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank hand-written candidates with the contrast judge.")
    parser.add_argument("--model", default=SMOLLM2)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    args = parser.parse_args()
    judge = Contrast(Contrast.Config(model=args.model, dtype=args.dtype))
    right: dict[str, list[bool]] = defaultdict(list)
    seconds = candidates = 0.0
    for number, case in enumerate(CASES):
        step = JudgeRequest(question=case.question, steps=(), candidates=(*case.good, *case.bad))
        api_request = judge.request(step)
        if number == 0:
            judge.send(api_request)  # loads the weights
        start = time.perf_counter()
        values = judge.raw(judge.send(api_request))
        seconds, candidates = seconds + time.perf_counter() - start, candidates + len(values)
        good, bad = values[: len(case.good)], values[len(case.good) :]
        right[case.kind] += [a > b for a in good for b in bad]
    print(f"{'kind':<10} {'pairs':>5}   AUC")
    for kind, pairs in right.items():
        print(f"{kind:<10} {len(pairs):>5}  {sum(pairs) / len(pairs):.2f}")
    auc = {kind: round(sum(pairs) / len(pairs), 3) for kind, pairs in right.items()}
    print(json.dumps({"auc": auc, "ms_per_candidate": round(1000 * seconds / candidates)}))


if __name__ == "__main__":
    main()
