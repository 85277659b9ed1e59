"""Business and economics: percentages, interest, loans."""

from __future__ import annotations

import random

from spark_framework.questions.practice.calls import calculator, one_step, printed, solver, stats_finance
from spark_framework.questions.practice.family import Draft, family
from spark_framework.questions.practice.options import Amount


@family(
    "business",
    seen=(
        "What is {p}% of {whole}?",
        "A firm spends {p}% of its {whole} dollar budget. How much is spent?",
        "Find {p}% of {whole} dollars.",
    ),
    new=("{p} percent of the number {whole} is", "A fee of {p}% is taken on {whole} dollars. How large is the fee?"),
)
def percent_of(rng: random.Random) -> Draft:
    p, whole = rng.choice([5, 8, 10, 12, 15, 18, 20, 25, 30, 35, 40, 45, 60, 75]), rng.randint(4, 90) * 10
    expression = f"{whole}*{p}/100"
    return Draft(
        slots={"p": p, "whole": whole},
        answer=Amount(whole * p / 100),
        wrong=(Amount(whole * (100 - p) / 100), Amount(whole / p)),
        plan=one_step(calculator(expression), printed(expression), solver("solve", f"x/{whole} = {p}/100")),
    )


@family(
    "business",
    seen=(
        "A {price} dollar item is discounted by {p}%. What is the new price?",
        "What is the price of a {price} dollar item after a {p}% discount?",
        "A shop takes {p}% off a price of {price} dollars. What is to be paid?",
    ),
    new=(
        "An item listed at {price} dollars is sold {p}% off. What does it cost?",
        "How much is a {price} dollar article once it is reduced by {p}%?",
    ),
)
def discount(rng: random.Random) -> Draft:
    p, price = rng.choice([5, 10, 15, 20, 25, 30, 40, 50]), rng.randint(8, 400)
    expression = f"{price}*(1-{p}/100)"
    return Draft(
        slots={"p": p, "price": price},
        answer=Amount(price * (100 - p) / 100),
        wrong=(Amount(price * p / 100), Amount(price * (100 + p) / 100)),
        plan=one_step(calculator(expression), printed(expression), solver("eval", expression)),
    )


@family(
    "business",
    seen=(
        "{amount} dollars earn {rate}% compound interest a year for {years} years. What is the final amount?",
        "With yearly compound interest of {rate}%, {amount} dollars grow for {years} years to what amount?",
        "What are {amount} dollars worth after {years} years at {rate}% compound interest?",
    ),
    new=(
        "{amount} dollars are invested for {years} years at {rate}% a year, compounded. They become",
        "A deposit of {amount} dollars at {rate}% compound interest is left for {years} years. Find its value.",
    ),
)
def compound_interest(rng: random.Random) -> Draft:
    amount, rate, years = rng.randint(2, 90) * 100, rng.randint(2, 12), rng.randint(2, 12)
    expression = f"{amount}*(1+{rate}/100)**{years}"
    return Draft(
        slots={"amount": amount, "rate": rate, "years": years},
        answer=Amount(amount * (1 + rate / 100) ** years, digits=2),
        wrong=(
            Amount(amount * (1 + rate * years / 100), digits=2),
            Amount(amount / (1 + rate / 100) ** years, digits=2),
        ),
        plan=one_step(
            stats_finance("fv", rate=rate / 100, n=years, pv=amount), calculator(expression), printed(expression)
        ),
    )


@family(
    "economics",
    seen=(
        "What is the present value of {amount} dollars due in {years} years at {rate}% a year?",
        "At a discount rate of {rate}%, what are {amount} dollars in {years} years worth today?",
        "Find the present value of {amount} dollars paid after {years} years (rate {rate}%).",
    ),
    new=(
        "{amount} dollars will be received in {years} years. With a rate of {rate}%, their value now is",
        "Discount {amount} dollars over {years} years at {rate}%.",
    ),
)
def present_value(rng: random.Random) -> Draft:
    amount, rate, years = rng.randint(2, 90) * 100, rng.randint(2, 12), rng.randint(2, 12)
    expression = f"{amount}/(1+{rate}/100)**{years}"
    return Draft(
        slots={"amount": amount, "rate": rate, "years": years},
        answer=Amount(amount / (1 + rate / 100) ** years, digits=2),
        wrong=(
            Amount(amount * (1 - rate / 100) ** years, digits=2),
            Amount(amount * (1 + rate / 100) ** years, digits=2),
        ),
        plan=one_step(
            stats_finance("pv", rate=rate / 100, n=years, fv=amount), calculator(expression), printed(expression)
        ),
    )


@family(
    "business",
    seen=(
        "A loan of {amount} dollars at {rate}% a year is repaid in {years} equal yearly payments. How large is one?",
        "What yearly payment repays {amount} dollars in {years} years at {rate}%?",
        "Find the yearly payment on a {amount} dollar loan over {years} years at {rate}% interest.",
    ),
    new=(
        "{amount} dollars are borrowed at {rate}% for {years} years. The equal yearly instalment is",
        "How much is due each year to pay off {amount} dollars at {rate}% within {years} years?",
    ),
)
def loan_payment(rng: random.Random) -> Draft:
    amount, rate, years = rng.randint(2, 90) * 100, rng.randint(2, 12), rng.randint(3, 12)
    expression = f"{amount}*{rate / 100}/(1-{1 + rate / 100}**-{years})"
    payment = amount * rate / 100 / (1 - (1 + rate / 100) ** -years)
    return Draft(
        slots={"amount": amount, "rate": rate, "years": years},
        answer=Amount(payment, digits=2),
        wrong=(Amount(amount / years, digits=2), Amount(amount * (1 + rate / 100) / years, digits=2)),
        plan=one_step(
            stats_finance("pmt", rate=rate / 100, n=years, pv=amount), calculator(expression), printed(expression)
        ),
    )


@family(
    "economics",
    seen=(
        "A price index rises from {old} to {new}. What is the inflation rate in percent?",
        "Output grows from {old} to {new}. What is the growth rate in percent?",
        "Find the percentage change from {old} to {new}.",
    ),
    new=("Wages go up from {old} to {new}. By what percentage?", "An economy of size {old} grows to {new}, that is by"),
)
def growth_rate(rng: random.Random) -> Draft:
    old = rng.randint(40, 400)
    new = old + rng.randint(2, old // 2)
    expression = f"({new}-{old})/{old}*100"
    return Draft(
        slots={"old": old, "new": new},
        answer=Amount((new - old) / old * 100, "%", digits=1),
        wrong=(Amount((new - old) / new * 100, "%", digits=1), Amount(new - old, "%", digits=1)),
        plan=one_step(calculator(expression), printed(expression), solver("solve", f"{old}*(1 + x/100) = {new}")),
    )


FAMILIES = (percent_of, discount, compound_interest, present_value, loan_payment, growth_rate)
