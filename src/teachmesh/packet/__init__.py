"""A skill as a value and as bytes: what one agent teaches another.

The code is organised as follows; `docs/skill_format.md` is the specification of the bytes.

    card.py       Card: who taught what, with which backbone, how well and at what cost
    card_rules.py check_card: names, ranges and sizes that a card must keep
    skill.py      Skill: a card and its tensors, immutable
    codec.py      encode and decode: a skill <-> one deterministic safetensors file
    header.py     the file's first bytes, read and checked before anything is allocated
    layout.py     which tensors a skill may have, with which dtype and shape
    bias_card.py  BiasCard: what beneficial biases gained and cost
    bias_tensors.py  SkillBiases: the biases and their head, as they travel
    canonical.py  JSON with one spelling per value, parsed within bounds
    signing.py    AgentKey, sign, verify, agent_id: Ed25519
    limits.py     Limits: how large anything from a peer may be

The skill walk: anchor and head -> Skill -> sign (encode) -> bytes -> decode -> verify -> bank.
Import from the modules; this file imports nothing.
"""
