"""A bot in the style of those that ran on the layer before this one; it must run as it is.

It knows the names and methods that bots had from the first, gives arguments by position, prices as
float, and times as whichever text was at hand: without an offset, or with a Z. It is three
programs on one database: `signals` finds candidates, `trading` buys and sells, `markets` keeps
what the other two look up.
"""
