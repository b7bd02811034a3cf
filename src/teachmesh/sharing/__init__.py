"""Exchange of skills between peers by anti-entropy; this package treats skills as bytes with an id.

- `transport`: the network interface that sharing needs; `zenoh_transport`, `zenoh_broadcasts`
  implement it.
- `own_transport`: makes a transport by name, also one of another package.
- `endpoints`: notation of endpoints, and which must be encrypted. `mesh_certificates`: for TLS.
- `enrolment`: hands the key of the mesh to an agent with an invite. `invite_code`: its text.
- `inventory`: the interface of a bank that sharing needs.
- `runtime`: clock, random numbers, threads; a simulation replaces them.
- `supervisor`: restarts background work that fails, and counts its errors.
- `messages`: signed announcements of a bank's digests.
- `id_list`: lists of ids, whose hashes are these digests; ids that peers offer.
- `gossip`: announces the bank; digests show if something is missing. `gossip_stats`: its state.
- `serving`: answers the requests of peers.
- `peers`: peers heard from recently.
- `pulling`: requests for missing skills and tombstones.
- `peer_exchange`: base of the next two.
- `part_exchange`: parts of tasks, among those that learn them together.
- `list_exchange`: lists of quarantined skills, from trusted peers.
- `in_flight`, `response_times`, `back_off`, `rate_limit`: limits, deadlines, pauses of requests.
- `counters`: counters of traffic and results.
- `admission`: checks of a received skill. `author_budget`: limits per author.
- `twin_watch`: notices another agent with the same key.

Peers do not relay messages, and a publisher's cached messages are lost when it leaves. Therefore
every peer serves all of its skills. Integrity comes from hashes and signatures, never from the
transport.
"""
