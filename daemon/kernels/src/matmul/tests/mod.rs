//! Products against the weights in fp64, and every set of instructions against the portable one.

mod case;
mod hostile;
mod numbers;
mod packing;
mod products;
