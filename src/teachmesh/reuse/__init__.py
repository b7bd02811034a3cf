"""Transfer from old tasks: a new task needs fewer images (paper, Sec. 7.1, 7.2 and 8).

The modules, in the order in which a new task goes through them:

1. Names: `class_names` cleans class names; `text_encoders` and `minilm` compare them.
2. Looks: `visual_similarity` compares classes by their means in whitened latent space.
3. Matching: `matching` combines names and looks into matches of new and old classes.
4. Source skills: `source_skills` matches a task with the bank and collects the priors.
5. Priors: `moments_prior` for class moments, `head_prior` for trained heads. Both get the weight
   of the prior from `leave_one_out_ridge`.
6. Gate: `moments_transfer` and `transfer` try a prior on held-out shots and drop it without a gain.
7. Transfer: `transfer` is the entry point for `learn --reuse` and `match`.

`combined_moments` builds a task from old classes without an image.
"""
