"""Identities: which authors an agent trusts or blocks, and to whom an alias belongs.

A standing belongs to an author (an Ed25519 key), never to the peer that delivers a skill. So any
peer, even a blocked one, may deliver the skills of a trusted author.
"""
