"""What an officer does: one module a verb."""
