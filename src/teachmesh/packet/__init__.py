"""The skill that one agent teaches another: as a Python object and as bytes.

The modules are listed below; `docs/skill_format.md` specifies the bytes.

    card.py           Card: author, task, classes, backbone, accuracy and cost of a skill
    card_rules.py     check_card: the rules for names, numbers and sizes on a card
    bias_card.py      BiasCard: gain and cost of beneficial biases
    parent_card.py    Parent: an old class from which a new class was learned
    skill.py          Skill: a card and its tensors, immutable
    bias_tensors.py   SkillBiases: the biases and their head, as stored in a skill
    tensor_layout.py  check_layout: names, dtypes and shapes of a skill's tensors
    codec.py          encode and decode: a skill <-> one deterministic safetensors file
    skill_header.py   the header of the file, checked before memory is allocated
    canonical.py      canonical JSON, and a parser that limits its own cost
    signing.py        AgentKey, sign, verify, agent_id: Ed25519 keys and signatures
    limits.py         Limits: maximum sizes in data from a peer

Path of a skill: anchor and head -> Skill -> sign (encode) -> bytes -> decode -> verify -> bank.
Import names from the modules; this file imports nothing.
"""
