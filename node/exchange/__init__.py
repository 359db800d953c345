"""KPX/1: bundles, streams, receipts, sending and receiving (protocol sections 3 and 4)."""
