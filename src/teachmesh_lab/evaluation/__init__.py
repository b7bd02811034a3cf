"""`teachmesh evaluate`, and the accuracies and costs that all measurements use.

- `evaluate`: learns every task of a folder, then measures accuracy without a task oracle.
- `latent_cache`, `bias_store`: latents and trained biases on disk, so that runs can resume.
- `measure`: accuracies of an agent on the test images of its tasks.
- `metrics`: accuracies, accuracy matrices, forgetting and transfer (Sec. 6).
- `image_answers`: answers to each test image; `class_level`: accuracy per class, calibration.
- `sampling_error`: errors from the choice of test images; `method_ranks`: ranks over tasks.
- `cost_ledger`: multiply-accumulates and bytes of learning and sharing (Fig. 9, 10).
- `corrective`: accuracies that count equivalent classes as right (Sec. 7.1).
- `evaluation_report`, `corrective_report`, `class_level_page`, `html_page`: HTML pages, readable
  offline; `page_origin`: date, command, machine and versions on them.
"""
