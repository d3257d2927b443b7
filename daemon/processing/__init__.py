"""Windows into pictures: worker, reconstructor, load control, outputs."""
