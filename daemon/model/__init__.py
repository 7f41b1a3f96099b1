"""Frozen values that every part agrees on: kinds, facts, decisions, notices, states, calendar, money. Pure."""
