"""Facts to look up: capitals, events, people, formulas, and technical terms of eight subjects."""

from __future__ import annotations

import random

from spark_framework.questions.practice.calls import (
    Plan,
    calculator,
    dictionary,
    encyclopedia,
    one_step,
    printed,
    search,
    solver,
    think,
)
from spark_framework.questions.practice.facts import CAPITALS, DISCOVERIES, EVENTS, FORMULAS, WORKS
from spark_framework.questions.practice.family import Draft, Family, family
from spark_framework.questions.practice.options import Amount
from spark_framework.questions.practice.terms import TERMS


def _others(answer: str, answers: list[str]) -> list[str]:
    return [other for other in dict.fromkeys(answers) if other != answer]


def _looked_up(query: str, recalled: str) -> Plan:
    """Calls that find a fact: an article, a search, or a thought."""
    return one_step(encyclopedia(query), search(query), think(recalled))


@family(
    "other",
    seen=(
        "What is the capital of {country}?",
        "Which city is the capital of {country}?",
        "Name the capital city of {country}.",
    ),
    new=("Which capital belongs to the country {country}?", "The national capital of {country} is"),
)
def capital_city(rng: random.Random) -> Draft:
    country, city = rng.choice(list(CAPITALS.items()))
    return Draft(
        slots={"country": country},
        answer=city,
        wrong=_others(city, list(CAPITALS.values())),
        plan=_looked_up(f"capital of {country}", f"The capital of {country} is {city}"),
    )


@family(
    "history",
    seen=(
        "In which year was the {event}?",
        "What is the year of the {event}?",
        "When was the {event}?",
    ),
    new=("Which year saw the {event}?", "The {event} is dated to the year"),
)
def event_year(rng: random.Random) -> Draft:
    event, year = rng.choice(list(EVENTS.items()))
    return Draft(
        slots={"event": event},
        answer=f"{year}",
        wrong=_others(f"{year}", [f"{other}" for other in EVENTS.values()]),
        plan=_looked_up(event, f"The {event} was in {year}"),
    )


@family(
    "history",
    seen=(
        "How many years before {later} was the {event}?",
        "How many years lie between the {event} and {later}?",
        "In {later}, how many years had passed since the {event}?",
    ),
    new=(
        "Counting back from {later}, how many years is it to the {event}?",
        "By {later}, the {event} was how many years ago?",
    ),
)
def years_before(rng: random.Random) -> Draft:
    event, year = rng.choice(list(EVENTS.items()))
    later = year + rng.randint(5, 150)
    expression = f"{later}-{year}"
    return Draft(
        slots={"event": event, "later": later},
        answer=Amount(later - year),
        plan=(
            *_looked_up(event, f"The {event} was in {year}"),
            (calculator(expression), printed(expression), solver("solve", f"{year} + x = {later}")),
        ),
    )


@family(
    "other",
    seen=("Who wrote {work}?", "Who is the author of {work}?", "Which author wrote {work}?"),
    new=("The book {work} was written by", "By whom is {work}?"),
)
def author(rng: random.Random) -> Draft:
    work, person = rng.choice(list(WORKS.items()))
    return Draft(
        slots={"work": work},
        answer=person,
        wrong=_others(person, list(WORKS.values())),
        plan=_looked_up(work, f"{work} was written by {person}"),
    )


@family(
    "history",
    seen=(
        "Which person is known for this discovery or invention: {what}?",
        "To whom do we owe this: {what}?",
        "Who first found or made this: {what}?",
    ),
    new=("In the history of science, {what} stands for the work of", "Name the person behind this: {what}."),
)
def discoverer(rng: random.Random) -> Draft:
    what, person = rng.choice(list(DISCOVERIES.items()))
    return Draft(
        slots={"what": what},
        answer=person,
        wrong=_others(person, list(DISCOVERIES.values())),
        plan=_looked_up(what, f"{what}: {person}"),
    )


@family(
    "physics",
    seen=(
        "Which formula describes this: {name}?",
        "What is the formula for this quantity or law: {name}?",
        "Which equation belongs to the name {name}?",
    ),
    new=("In physics, {name} is written as", "Pick the equation for this: {name}."),
)
def physics_formula(rng: random.Random) -> Draft:
    name, formula = rng.choice(list(FORMULAS.items()))
    return Draft(
        slots={"name": name},
        answer=formula,
        wrong=_others(formula, list(FORMULAS.values())),
        plan=_looked_up(name, f"{name}: {formula}"),
    )


def _terms(subject: str) -> Family:
    """The family that asks for the meanings of a subject's terms."""
    meanings = TERMS[subject]

    def draw(rng: random.Random) -> Draft:
        term, meaning = rng.choice(list(meanings.items()))
        return Draft(
            slots={"term": term},
            answer=meaning,
            wrong=_others(meaning, list(meanings.values())),
            plan=one_step(dictionary(term), encyclopedia(term), search(term), think(f"{term}: {meaning}")),
        )

    return Family(
        name=f"{subject.replace(' ', '_')}_term",
        category=subject,
        seen=(
            f"In {subject}, what does the term {{term}} mean?",
            f"What fits the term {{term}} in {subject}?",
            f"Which words explain {{term}}, a term of {subject}?",
            f"Give the meaning of {{term}} ({subject}).",
        ),
        new=(
            f"A textbook of {subject} uses the word {{term}}. It refers to",
            f"How is {{term}} understood in {subject}?",
        ),
        draw=draw,
    )


FAMILIES = (
    capital_city,
    event_year,
    years_before,
    author,
    discoverer,
    physics_formula,
    *map(_terms, TERMS),
)
