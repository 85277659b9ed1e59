"""How much of MMLU-Pro the offline knowledge tools cover, and how little they decide.

    python benchmarks/knowledge.py data/mmlu_pro/test.parquet \
        --dictionary glossary,wordnet --encyclopedia packaged,leads --search articles,leads

First table: the answer options that are short terms (one to three words of letters), each once for every category. A
tool knows a term if every word of it, but for endings, is in its answer: in the first hundred characters for
`dictionary` and `encyclopedia`, so that the answer is about the term; anywhere in the best passage for `search`.

Then the honest part: every tenth question is sent to `search` unchanged. How often does the observation single
out the right option, and how often a wrong one? Deterministic, no network. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spark_framework.api import Tool, ToolContext, ToolError, match_option

ARGUMENTS = {"dictionary": "term", "encyclopedia": "query", "search": "query"}
TERM = re.compile(r"[A-Za-z][A-Za-z'’-]*(?: [A-Za-z'’-]+){0,2}")
LONGEST_TERM, LONGEST_QUERY = 80, 200  # characters that the tools take
OPENING = 100
EVERY = 10

Row = dict[str, Any]


def terms(rows: list[Row]) -> dict[str, list[str]]:
    """The short terms among the options, by category, in the order of the file."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for option in row["options"]:
            term = option.strip().rstrip(".").lower()
            if TERM.fullmatch(term) and len(term) <= LONGEST_TERM:
                found[row["category"]][term] = None
    return {category: list(found[category]) for category in sorted(found)}


def answer(tool: Tool, **arguments: Any) -> str:
    """The tool's answer; empty if it has none."""
    try:
        return tool.call(tool.Args.model_validate(arguments), ToolContext())
    except ToolError:
        return ""


def knows(tool: Tool, term: str) -> bool:
    """Whether the tool knows the term."""
    if tool.name == "search":
        text = answer(tool, query=term, k=1)
    else:
        text = answer(tool, **{ARGUMENTS[tool.name]: term})[:OPENING]
    stems = [word[: max(4, len(word) - 3)] for word in re.findall(r"[a-z]+", term)]
    return all(re.search(rf"\b{stem}", text.lower()) for stem in stems)


def shares(by_category: dict[str, list[str]], tools: dict[str, Tool]) -> dict[str, dict[str, float]]:
    """Percent of the terms that each tool knows, and any of them, by category and over all terms."""
    known = {
        category: [{name: knows(tool, term) for name, tool in tools.items()} for term in found]
        for category, found in by_category.items()
    }
    known["all"] = [one for ones in known.values() for one in ones]
    table = {}
    for category, ones in known.items():
        counts = Counter(name for one in ones for name, is_known in one.items() if is_known)
        counts["any"] = sum(any(one.values()) for one in ones)
        percent = {name: round(100 * counts[name] / max(1, len(ones)), 1) for name in (*tools, "any")}
        table[category] = {"terms": len(ones), **percent}
    return table


def decided(rows: list[Row], search: Tool) -> dict[str, int]:
    """How many questions there are, and for how many the passages single out the right option, or a wrong one."""
    counts = Counter({"questions": len(rows), "right": 0, "wrong": 0})
    for row in rows:
        query = " ".join(row["question"].split())[-LONGEST_QUERY:]  # the question proper is at the end
        match = match_option(answer(search, query=query, k=3), tuple(row["options"]))
        if match is not None:
            counts["right" if match == row["answer_index"] else "wrong"] += 1
    return dict(counts)


def build(name: str, settings: dict[str, Any]) -> Tool:
    (cls,) = entry_points(group="spark_framework.v1")[f"tool.{name}"].load().spark_tools()
    tool: Tool = cls(cls.Config.model_validate(settings))
    tool.prepare()
    return tool


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("questions", type=Path, help="MMLU-Pro's test.parquet")
    for name in ARGUMENTS:
        parser.add_argument(f"--{name}", default="", metavar="SOURCE,…", help="its sources; default: what is there")
    parser.add_argument("--wordnet", help="folder with WordNet's files, for dictionary")
    parser.add_argument("--zim", help="a ZIM file, for encyclopedia")
    parser.add_argument("--corpus", help="a file or folder of texts, for search")
    args = parser.parse_args()
    extra = {"dictionary": "wordnet", "encyclopedia": "zim", "search": "corpus"}
    tools = {
        name: build(name, {"sources": list(filter(None, getattr(args, name).split(","))), data: getattr(args, data)})
        for name, data in extra.items()
    }
    rows = pq.read_table(args.questions, columns=["category", "question", "options", "answer_index"]).to_pylist()
    table, counts = shares(terms(rows), tools), decided(rows[::EVERY], tools["search"])
    print(f"{'category':18}{'terms':>7}" + "".join(f"{name:>14}" for name in (*tools, "any")))
    for category, row in table.items():
        print(f"{category:18}{row['terms']:7}" + "".join(f"{row[name]:12.1f} %" for name in (*tools, "any")))
    print(f"\n{counts['questions']} questions: search singles out the right option {counts['right']}", end="")
    print(f" times, a wrong one {counts['wrong']} times")
    print(json.dumps({"terms": table, "questions": counts}))


if __name__ == "__main__":
    main()
