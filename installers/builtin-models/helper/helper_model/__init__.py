"""Data, model, training, export and evaluation of the model ``builtin/helper``."""
