"""Picture file types, a file each: how they are recognised, read and written. `registry` lists them."""
