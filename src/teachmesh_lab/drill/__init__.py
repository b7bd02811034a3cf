"""The drill `poison`: hostile skills against honest tasks, with the defences off and on.

- `honest_tasks`: learns honest tasks, each by another author.
- `forged_skills`: makes signed skills of an attacker.
- `poison_attacks`: the attacks.
- `near_attacks`: attacks that lie near honest tasks, but not on them.
- `poison_drill`: runs them against an agent, and measures what the honest tasks lose.
"""
