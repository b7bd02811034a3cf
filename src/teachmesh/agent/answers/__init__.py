"""From images to predictions with all skills of a bank.

- `answering`: `AnsweringAgent`, with its main method `predict_many`.
- `synced_agent`: `SyncedAgent`, whose student follows the changes of its bank.
- `student`, `screened_student`: classify images with all skills, or those that passed screening.
- `answer_writer`: turns decisions into a `prediction` with names, authors, equivalent classes.
- `second_passes`: second passes of images whose latents are known.
- `evaluate_task`: measures accuracies on the test images of one task.
"""
