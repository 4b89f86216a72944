//! The end of a gated product: the activation of one half times the other.

use super::Activation;
use super::shape::LANES;
use super::tiles::Sums;
use crate::Isa;

/// One half of a gated product: what the tiles added up, and what each lane is multiplied with.
pub(super) struct Half<'a> {
    pub(super) sums: &'a mut Sums,
    pub(super) factors: [f32; LANES],
}

/// Leaves `activation(gate) × up` of the first `rows` rows in the gate's sums. The same to the last
/// bit for every set of instructions.
pub(super) fn finish(isa: Isa, activation: Activation, rows: usize, gate: Half<'_>, up: Half<'_>) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni if isa.is_available() => {
            #[expect(unsafe_code, reason = "instructions that were looked for")]
            // SAFETY: the processor has them.
            unsafe {
                finish_avx512(activation, rows, gate, up);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni if isa.is_available() => {
            #[expect(unsafe_code, reason = "instructions that were looked for")]
            // SAFETY: both have AVX2, and the processor has it.
            unsafe {
                finish_avx2(activation, rows, gate, up);
            }
        }
        _ => finish_with(activation, rows, gate, up),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
fn finish_avx512(activation: Activation, rows: usize, gate: Half<'_>, up: Half<'_>) {
    finish_with(activation, rows, gate, up);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn finish_avx2(activation: Activation, rows: usize, gate: Half<'_>, up: Half<'_>) {
    finish_with(activation, rows, gate, up);
}

/// Compiled into each of the functions above with its instructions, and once per activation, so
/// that nothing in the loop branches.
#[inline(always)]
fn finish_with(activation: Activation, rows: usize, gate: Half<'_>, up: Half<'_>) {
    match activation {
        Activation::Silu => finish_rows(Activation::Silu, rows, gate, up),
        Activation::GeluTanh => finish_rows(Activation::GeluTanh, rows, gate, up),
        Activation::GeluErf => finish_rows(Activation::GeluErf, rows, gate, up),
    }
}

#[inline(always)]
fn finish_rows(activation: Activation, rows: usize, gate: Half<'_>, up: Half<'_>) {
    for row in 0..rows {
        let (gates, ups) = (&mut gate.sums.0[row], &up.sums.0[row]);
        // No closures: they would not be compiled with the caller's instructions.
        for lane in 0..LANES {
            let up = ups[lane] * up.factors[lane];
            gates[lane] = activation.apply(gates[lane] * gate.factors[lane]) * up;
        }
    }
}
