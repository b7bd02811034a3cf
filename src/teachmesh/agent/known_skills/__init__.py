"""The skills of an agent's bank, used without loading a network.

- `bank_view`: `BankView`: key, bank and catalogue of an agent.
- `catalogue`: descriptions of the skills of a bank; `skill_names`: their names.
- `skill_mapping`: `agent.skills`, and exported files.
- `skill_fit`, `quarantine`: skills that fit no backbone, and skills that screening set aside.
- `skill_versions`, `replace_skill`: versions of a task; a new one is not worse than the old one.
- `withdraw_skills`, `withhold_tasks`: skills that are taken back, and tasks that are not shared.
- `kept_statistics`: the statistics of an agent's own tasks.
"""
