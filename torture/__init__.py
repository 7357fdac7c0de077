"""Whether this package survives what it says it survives, each fault as often as it takes.

    make torture
    make torture ARGS="--quick"
    make torture ARGS="--only network --seed 5 --json torture.json"

Every row of `torture/rows.py` is a fault, the tests that make it, and how often they must have
made it. The tests are those that `make test` runs, too; without `--quick` they are given larger
counts. Each ends with a proof of recovery: the pool is whole, a query answers, the data are what
they should be.

How to read it: `times` is how often the tests have really made the fault, and a failed test counts
as one more; `survived` is how often all came out as it must; the worst recovery is the longest time
from the end of a fault to the first success. A row is well when no test of it has failed and the
fault was made as often as it says. The exit status is 1 when a row is not well; its command to
repeat it, with the seed, is printed.

All chance comes from one seed, which is printed: `--seed N`, TORTURE_SEED, or a new one.
"""
