//! The passes. Each takes a graph and a plan and either changes them or says why not; who calls
//! them gives a pass that failed a copy to spoil.

mod accuracy_level;
mod activation;
mod attention;
mod codes;
mod decomposed;
mod dequantized;
mod embedding;
mod fixed_scales;
mod integer;
mod last_rows;
mod matmul;
mod merged;
mod multi_head;
mod quantized;
mod scope;
mod siblings;
mod width;

pub(super) use accuracy_level::accuracy_level;
pub(super) use attention::attention;
pub(super) use decomposed::decomposed;
pub(super) use embedding::embedding;
pub(super) use fixed_scales::fixed_scales;
pub(super) use last_rows::last_rows;
pub(super) use matmul::matmul;
pub(super) use merged::merged;
pub(super) use multi_head::multi_head;
