"""Batch encoding and decoding of many pictures and materials; repeated runs process only what has changed.

Data flows one way: `plan` turns folders or a manifest into items, `work` encodes one item, `pool` or `dask_pool` run
many items in worker processes, `report` writes their outcomes. `keys` computes the content key that identifies an
item's file.
"""
