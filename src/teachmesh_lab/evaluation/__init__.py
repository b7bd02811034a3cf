"""`teachmesh evaluate` and the numbers that every measurement shares.

- `evaluate`: learns every task of a folder, then measures without a task oracle.
- `measure`: mapper, oracle, final and direct accuracy of an agent.
- `metrics`: accuracy matrices, forgetting and transfer (Sec. 6).
- `cost_ledger`: multiply-accumulates and bytes of learning and sharing (Fig. 9, 10).
- `corrective`: answers that name an equivalent class (Sec. 7.1).
- `evaluation_report`, `corrective_report`, `html_page`: HTML pages, readable offline.
"""
