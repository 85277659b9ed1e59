"""All families, by subject. Each module defines the calls that solve its questions."""

from spark_framework.questions.practice.family import Family

from . import calendars, chemistry, knowledge, living, mathematics, money, physical

FAMILIES: tuple[Family, ...] = (
    *mathematics.FAMILIES,
    *physical.FAMILIES,
    *chemistry.FAMILIES,
    *money.FAMILIES,
    *calendars.FAMILIES,
    *living.FAMILIES,
    *knowledge.FAMILIES,
)
