"""The course of `assay demo`: a whole local network in separate processes, judged by what the chain says at its end."""
