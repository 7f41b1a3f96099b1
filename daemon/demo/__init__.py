"""The demo: the sample back office's generator, and the driver that replays sample days. See README.md."""
