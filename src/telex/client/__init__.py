"""The library: one way to ask any model, awaiting or blocking, in this process or through a gateway."""
