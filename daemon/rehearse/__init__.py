"""A trading day played against the stand-in carrier in one process and in virtual time, and held against the promises."""
