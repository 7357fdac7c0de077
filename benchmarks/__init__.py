"""How fast and how large this package is, next to the bare driver and to its peers.

    make bench
    make bench ARGS="--quick --loop asyncio"
    make bench ARGS="--only should_trigger --json figures.json"

A figure is a ratio of two medians that were measured in one run on one machine, in rounds: in
each one both sides are measured, one after the other, and who begins alternates. What a side
returns is checked before its time counts. A single time says nothing on a shared machine; it is
shown to tell what is compared, and what the spread is a part of.

How to read it: a case is called "ours / theirs". Where times are compared, the ratio is our time
over theirs and at most the target; where rates are, our rate over theirs and at least the target;
where a difference is what matters, it is ours less theirs, in the unit that is shown. The spread
reaches from the lowest to the highest round, as a part of the ratio, or in the unit of a
difference. A bar of the plot ends left of the mark where the target is met. A missed target is
named and is no failure; a wrong result is.

The server is that of DATABASE_URL, in databases that are dropped at the end, or else an embedded
one in a temporary folder. The largest table takes some 6 GB for as long as it is measured.
"""
