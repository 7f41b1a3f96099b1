"""Keys and sealing: keyring, envelope, stream, signing, masking. The only users of the `cryptography` library."""
