"""`python -m torture`: makes the faults and shows what came out; see the package."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import torture
from torture.report import note, show, write_json
from torture.rows import ROWS, Row
from torture.run import Outcome, attempt


def main(arguments: Sequence[str] | None = None, rows: Sequence[Row] = ROWS) -> int:
    """Try what is asked for, and return the exit status: 0 when all rows are well."""
    options = _parser().parse_args(arguments)
    chosen = [row for row in rows if options.only.lower() in row.fault]
    if not chosen:
        note(f"no row has such a name; there are {', '.join(row.fault for row in rows)}")
        return 2
    outcomes: list[Outcome] = []
    note(f"TORTURE_SEED={options.seed}")
    try:
        for row in chosen:
            note(f"{row.fault} …")
            outcomes.append(attempt(row, options.seed, quick=options.quick))
    finally:
        if options.json:
            write_json(options.json, outcomes)
    show(outcomes)
    return 0 if all(outcome.well for outcome in outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m torture", description=torture.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came out to FILE")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="try the rows whose fault contains TEXT"
    )
    parser.add_argument(
        "--quick", action="store_true", help="the counts that `make test` takes, not the full ones"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=int(os.environ.get("TORTURE_SEED") or random.SystemRandom().randrange(2**32)),
        metavar="N",
        help="where all chance comes from; else TORTURE_SEED, or a new one",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
