"""From rollouts to a pseudo-gradient: the same function for anyone who trains and anyone who replays."""
