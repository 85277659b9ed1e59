"""Law, history and others: days, weekdays, years."""

from __future__ import annotations

import datetime
import random

from spark_framework.questions.practice.calls import calculator, one_step, python, solver, stats_finance, think
from spark_framework.questions.practice.family import Draft, family
from spark_framework.questions.practice.options import Amount

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _date(rng: random.Random, first: int, last: int) -> datetime.date:
    return datetime.date(rng.randint(first, last), rng.randint(1, 12), rng.randint(1, 28))


def _code(date: datetime.date) -> str:
    return f"date({date.year}, {date.month}, {date.day})"


@family(
    "law",
    seen=(
        "How many days are between {start} and {end}?",
        "A contract runs from {start} to {end}. How many days is that?",
        "A lease begins on {start} and ends on {end}. How many days lie between?",
    ),
    new=(
        "What is the number of days from {start} until {end}?",
        "A claim arose on {start} and was filed on {end}, that is how many days later?",
    ),
)
def days_between(rng: random.Random) -> Draft:
    start, days = _date(rng, 1990, 2030), rng.randint(5, 300)
    end = start + datetime.timedelta(days=days)
    return Draft(
        slots={"start": start, "end": end},
        answer=Amount(days),
        wrong=(Amount(days + 7), Amount(days + 30)),
        plan=one_step(
            stats_finance("date_diff", date=f"{start}", to_date=f"{end}"),
            python(f"from datetime import date; print(({_code(end)} - {_code(start)}).days)"),
        ),
    )


@family(
    "law",
    seen=(
        "A notice of {start} sets a deadline of {days} days. On which date does it end?",
        "Which date is {days} days after {start}?",
        "An appeal is due {days} days after {start}. When is that?",
    ),
    new=(
        "A period of {days} days starts on {start}. It expires on",
        "Payment is owed {days} days from {start}. On what date?",
    ),
)
def deadline(rng: random.Random) -> Draft:
    start, days = _date(rng, 1990, 2030), rng.randint(5, 300)
    end = start + datetime.timedelta(days=days)
    shifts = (-30, -10, -7, -3, -2, -1, 1, 2, 3, 7, 10, 30)
    return Draft(
        slots={"start": start, "days": days},
        answer=f"{end}",
        wrong=[f"{end + datetime.timedelta(days=shift)}" for shift in shifts],
        plan=one_step(
            stats_finance("date_add", date=f"{start}", days=days),
            python(f"from datetime import date, timedelta; print({_code(start)} + timedelta({days}))"),
        ),
    )


@family(
    "other",
    seen=(
        "Which day of the week was {date}?",
        "On what weekday does {date} fall?",
        "What day of the week is {date}?",
    ),
    new=("The date {date} is which day of the week?", "Name the weekday of {date}."),
)
def weekday(rng: random.Random) -> Draft:
    date = _date(rng, 1950, 2040)
    return Draft(
        slots={"date": date},
        answer=WEEKDAYS[date.weekday()],
        wrong=[day for day in WEEKDAYS if day != WEEKDAYS[date.weekday()]],
        plan=one_step(
            stats_finance("weekday", date=f"{date}"),
            python(f"from datetime import date; print({_code(date)}.strftime('%A'))"),
        ),
    )


@family(
    "history",
    seen=(
        "A dynasty ruled from {first} to {last}. How many years did it rule?",
        "A treaty signed in {first} ended in {last}. How many years did it last?",
        "A war began in {first} and ended in {last}. How many years was that?",
    ),
    new=(
        "An empire began in {first} and collapsed in {last}. For how many years did it exist?",
        "From its founding in {first} to its fall in {last}, how many years did the kingdom stand?",
    ),
)
def years_of_rule(rng: random.Random) -> Draft:
    first = rng.randint(1100, 1900)
    last = first + rng.randint(5, 150)
    expression = f"{last}-{first}"
    return Draft(
        slots={"first": first, "last": last},
        answer=Amount(last - first),
        plan=one_step(
            calculator(expression),
            python(f"print({expression})"),
            solver("solve", f"{first} + x = {last}"),
            think(f"{last} - {first} = {last - first}"),
        ),
    )


FAMILIES = (days_between, deadline, weekday, years_of_rule)
