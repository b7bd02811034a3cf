"""Data that one agent keeps on disk: its skills, its key and its settings.

The code is organised as follows:

    home.py       Home: the folder of an agent; resolve_home; Config; load_or_create_key
    store.py      Bank: the skills, a grow-only set of files named by their hash
    index.py      Index: the SQLite table over those files; tidy brings it in line with them
    entry.py      BankEntry, CheckReport: one row of the index; result of a check
    folder.py     SkillFolder: the files, the damaged ones and the removal marks
    running.py    RunningFile: state of the process that shares, for other commands
    atomic.py     FileOps, write_file: a file is written as a whole or not at all

Import from the modules; this file imports nothing.
"""
