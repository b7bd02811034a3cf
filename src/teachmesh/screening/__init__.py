"""Screening of skills by other authors: may a skill answer, or is it quarantined?

- `synthetic_images`: points that a task's own skill describes, for the tests below.
- `near_duplicates`: distances between the class means of two skills.
- `capture`: the images of a known task that another skill would take.
- `screen_skills`: the verdict about a skill, from the skills that are used already.

Everything here is a function of skills in the space of the backbone's fixed metric. The verdicts
are kept by `bank.verdict_file`.
"""
