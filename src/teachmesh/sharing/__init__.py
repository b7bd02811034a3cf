"""Skills between peers, as bytes and ids: announced, pulled by hash from any holder, repaired.

- `transport`: what sharing needs of a network; `memory_transport` and `zenoh_transport` give it.
- `messages`: the small signed announcement.
- `gossip`: announces and serves; repairs every loss by exchanging inventories.
- `peers`: who is there; `pulling`: what to get next, and from whom; `backoff`: whom not to ask
  for a while; `counters`: in numbers.
- `admission`: the checks that a received skill goes through.

Peers do not relay for each other, and a publisher's cache dies with it: so every holder serves
every skill it holds, and integrity comes from hashes and signatures, never from the transport.
"""
