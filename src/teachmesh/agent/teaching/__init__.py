"""From images or known classes to a new skill.

- `learning_agent`: `LearningAgent`, with its main method `learn`.
- `learn_task`: options and result of learning one task.
- `grow_task`, `correct_answer`, `correct_part`: add images to a task, or correct one.
- `shrink_skill`: publishes a smaller version of a task.
- `learn_part`, `shared_tasks`: parts of a task that several agents learn together.
- `match_task`, `combine_classes`: match a folder with the bank; combine the bank's classes.
- `known_source`: recognises a task that was learned before.
- `network_export`: exports one skill as a network that runs without teachmesh.
- `onnx_export`, `agent_network`: exports a skill or the whole agent as an ONNX file.
"""
