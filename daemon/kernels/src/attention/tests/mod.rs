mod bad_input;
mod cases;
mod invariance;
mod reference;
mod rotary_kinds;

use super::*;
use crate::{Isa, Parallel, Serial, Threads};
use cases::Case;
