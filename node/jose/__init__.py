"""Strict JWS, keys and signers. The only room that imports `jwt` and `cryptography`."""
