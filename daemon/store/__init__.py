"""The store: one database (SQLite, later PostgreSQL) and the sealed sheets beside it. The only place with its SQL."""
