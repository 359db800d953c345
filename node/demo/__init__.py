"""The demo: the 2021 pilots in small, as three real nodes on loopback."""
