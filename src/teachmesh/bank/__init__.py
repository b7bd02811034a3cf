"""Data that one agent keeps on disk: its skills, its key and its settings.

The code is organised as follows:

    home.py       Home: the folder of an agent; resolve_home; Config; load_or_create_key
    running.py    RunningFile, RunningLock: state of `teachmesh up`
    store.py      Bank: the skills, stored as files named by their hash
    index.py      Index: the SQLite index of skills and tombstones
    index_repair.py  tidy: makes the index agree with the files
    withdrawals.py   Withdrawals: tombstones, and the skills that they withdraw
    entry.py      BankEntry, CheckReport: an entry of the index, and the result of a check
    hashed_files.py  HashedFiles: files named by their hash; damaged ones are moved aside
    folder.py     SkillFolder: skill files and removal marks; ArrayFiles
    atomic.py     FileOps, write_atomic: atomic writing of files
    output_file.py  write_file: write to a path chosen by the user

Import names from these modules; the package's `__init__` imports nothing.
"""
