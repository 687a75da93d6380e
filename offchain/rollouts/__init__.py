"""Trajectories of one work: how they are seeded, stored and named. Shared by whoever makes and whoever checks them."""
