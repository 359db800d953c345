"""What an operator watches: peers in both directions, the node itself, alerts."""
