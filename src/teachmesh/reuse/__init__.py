"""Transfer from old tasks so that a new task needs fewer images (paper, Sec. 7.1, 7.2 and 8).

The modules, in the order in which a new task uses them:

1. Names: `class_names` cleans class names; `text_encoders` and `minilm` compare them.
2. Visual similarity: `visual_similarity` compares class means in the whitened latent space.
3. Matching: `matching` matches new classes with old ones by name and visual similarity.
4. Source skills: `source_skills` matches a task with the bank and collects the priors.
5. Priors: `moments_prior` is for class moments, `head_prior` for trained heads. Both use
   `leave_one_out_ridge` to fit the weight of the prior.
6. Gate: `moments_transfer` and `transfer` drop a prior that does not help on held-out shots.
7. Transfer: `transfer` is the entry point for `learn --reuse` and `match`.

`combined_anchors` builds a task from old classes without any images.
"""
