"""HTTP in: callbacks of the gateways."""
