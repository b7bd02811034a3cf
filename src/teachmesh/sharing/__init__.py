"""Exchange of skills between peers, as bytes and ids, by anti-entropy.

- `transport`: the network interface that sharing needs; `zenoh_transport` implements it.
- `messages`: the small signed announcement.
- `gossip`: announces the bank and serves it; repairs every loss by comparing digests.
- `peers`: peers heard of lately, and waiting times for those that failed.
- `pulling`: requests for missing skills.
- `counters`: traffic and results as numbers.
- `admission`: checks of a received skill.

Peers do not relay for each other, and a publisher's cache dies with it. Therefore every peer
serves every skill that it has. Integrity comes from hashes and signatures, never from the
transport.
"""
