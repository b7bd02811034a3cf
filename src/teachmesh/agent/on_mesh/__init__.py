"""An agent that runs, watches its bank, learns and shares.

- `node`, `share_skills`: the running agent, and its options; `mesh_session`: joins while it runs.
- `quarantine_watch`: screening of new skills.
- `state_report`: its state, as events and as a file; `run_endpoints`: its endpoints.
- `known_agents`, `mesh_invites`: agents that it knows, and invites to its mesh.
- `manage_parts`, `part_desk`: parts of tasks: who may have them, and their exchange.
- `bundle_skills`: all skills as one file, for machines without a network.
"""
