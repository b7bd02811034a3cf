"""What one agent keeps on disk: its skills, its key and its settings.

The code is organised as follows:

    home.py       Home: the folder of an agent; resolve_home; Config
    identity.py   load_or_create_key: the agent's key file, 0600
    store.py      Bank: the skills, a grow-only set of files named by their hash
    index.py      Index: the SQLite table over those files; can always be rebuilt from them
    entry.py      BankEntry, CheckReport: what the bank says about its skills
    folder.py     SkillFolder: the files, the damaged ones and the removal marks
    repair.py     tidy: brings the index in line with the files
    running.py    RunningFile: what the process that shares tells other commands
    atomic.py     FileOps, write_file: all of a file or nothing of it, after the fsync

Import from the modules; this file imports nothing.
"""
