"""What the store can tell a person: counts of a day, why a client was told or not, whether decisions repeat. See README.md."""
