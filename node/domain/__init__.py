"""The scheme's rules: kinds, participants, profiles, rules with ids, states. Pure and synchronous."""
