"""The protocol stated a second time: what must hold, over the history of what happened.

`facts` are plain records of what happened, `history` keeps them. Everything else is rules over the history: nothing is
kept that could be worked out. `acts` are what people may do: the reasons why one is refused, and the facts that follow
from it. `properties` look at a chain's own logs and holdings, and share nothing with the rules.
"""
