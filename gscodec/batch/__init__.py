"""Many pictures and materials at once, again and again: only what has changed is encoded.

Data flows one way: `plan` makes items of folders or a manifest, `work` does one item, `pool` or `dask_pool` do many of
them, `report` tells what became of each. `settings` and `content` give an item the key under which its file is known.
"""
