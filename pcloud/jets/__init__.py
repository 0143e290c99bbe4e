"""What only jets need: features of constituents and of their pairs, frames, images and substructure observables."""
