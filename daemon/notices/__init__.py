"""Decisions to notices: stages, episodes, corrections, and the next channel; for a poll and for a delivery pass alike."""
