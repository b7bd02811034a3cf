"""The paper's baselines, its two bounds and three newer closed forms, over streams of tasks.

- `registry`: `BASELINES` by name; `run_trained`, `run_frozen`.
- `stream`: tasks of pixels and of latents. `result`: what a run gives.
- `loop`: the one training loop. `baseline`: the hooks around it. `choose`: hyper-parameters.
- `nets`, `multihead`: trunks and heads. `adam`, `seeding`, `costs`: steps, chance, arithmetic.
- `fine_tune`, `joint`: the bounds.
- `ewc`, `online_ewc`, `si`, `mas` (on `quadratic`, `sensitivity`), `lwf`: regularisers.
- `er`: rehearsal. `psp`, `supsup`, `parallel_supsup`: parameter isolation.
- `frozen`: closed forms on latents: `ncm`, `slda`, `ranpac`.
"""
