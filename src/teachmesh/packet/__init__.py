"""The skill that one agent teaches another, as a value and as bytes.

The code is organised as follows; `docs/skill_format.md` is the specification of the bytes.

    card.py           Card: author, task, classes, backbone, accuracy and cost of a skill
    card_rules.py     check_card: rules for names, ranges and sizes on a card
    bias_card.py      BiasCard: gain and cost of beneficial biases
    parent_card.py    Parent: the old class that a new class learned from
    skill.py          Skill: a card and its tensors, immutable
    bias_tensors.py   SkillBiases: the biases and their head, as they travel
    tensor_layout.py  check_layout: names, dtypes and shapes of a skill's tensors
    codec.py          encode and decode: a skill <-> one deterministic safetensors file
    skill_header.py   the file's first bytes, checked before anything is allocated
    canonical.py      JSON with one spelling per value, parsed within bounds
    signing.py        AgentKey, sign, verify, agent_id: Ed25519
    limits.py         Limits: bounds of all sizes in data from a peer

The skill walk: anchor and head -> Skill -> sign (encode) -> bytes -> decode -> verify -> bank.
Import from the modules; this file imports nothing.
"""
