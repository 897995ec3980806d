"""Templates of warm kernels, from the controller's side."""
