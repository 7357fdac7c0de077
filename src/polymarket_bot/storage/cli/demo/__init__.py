"""`demo`: a feed through all of the package, from raw records to booked P&L, by several processes.

- `run.py`: the parent, which replays pages, one phase of all workers after the other.
- `crew.py`: the worker processes, and how one is killed and replaced.
- `worker.py`: the program of a worker: a command in, an answer out.
- `signals.py`: what a worker does with trades, up to candidates.
- `trading.py`: what a worker does with candidates, up to P&L.
- `pages.py`: what arrives together; `feed.py` generates it, `file_feed.py` reads it from a file.
- `counting.py`: what became of a feed, counted in the database; `report.py` prints it.
"""
