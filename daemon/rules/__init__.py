"""Rules: what a rule file says, checked, compiled and decided. Pure but for `load.read_folder`."""
