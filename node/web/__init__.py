"""The two listeners: peers (KPX/1), and console with API."""
