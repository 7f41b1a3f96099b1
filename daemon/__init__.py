"""Due Notice: rule-driven, provable notices for securities firms. See README.md in this folder for the house."""

__version__ = "0.1.0"
