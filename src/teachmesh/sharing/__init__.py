"""Exchange of skills between peers by anti-entropy; this package treats skills as bytes with an id.

- `transport`: the network interface that sharing needs; `zenoh_transport` implements it.
- `own_transport`: makes a transport by name, also one of another package.
- `messages`: signed announcements of a bank's digests, and lists of ids.
- `gossip`: announces and serves the bank; digests show if something is missing.
- `peers`: peers heard from recently, and waiting times after failed requests.
- `pulling`: requests for missing skills and tombstones.
- `counters`: counters of traffic and results.
- `admission`: checks of a received skill.

Peers do not relay messages, and a publisher's cached messages are lost when it leaves. Therefore
every peer serves all of its skills. Integrity comes from hashes and signatures, never from the
transport.
"""
