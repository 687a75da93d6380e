"""From rollouts to a pseudo-gradient: the same function for whoever trains and whoever replays."""
