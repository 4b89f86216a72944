//! Which of a package's graph files to run.

/// Stems of a graph that decodes by itself, the usual one first.
const STEMS: [&str; 2] = ["model", "decoder_model_merged"];

/// Suffixes by element type, best for a CPU first: four bits with 32-bit activations are both
/// the smallest and the fastest there; 16-bit activations are converted back and forth.
const CPU_ORDER: [&str; 15] = [
    "_q4",
    "_int8",
    "_quantized",
    "_q8",
    "_uint8",
    "",
    "_fp32",
    "_fp16",
    "_q4f16",
    "_bnb4",
    "_q2",
    "_q2f16",
    "_q1",
    "_q1f16",
    "_bf16",
];

/// The graph files among `names` (without directory), best for a CPU first. Files with suffixes
/// nobody knows come last, in the order of their names.
#[must_use]
pub(super) fn for_cpu<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut ranked: Vec<_> = names
        .into_iter()
        .filter_map(|name| rank(name).map(|rank| (rank, name)))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, name)| name).collect()
}

fn rank(name: &str) -> Option<(usize, usize)> {
    let stem = name.strip_suffix(".onnx")?;
    STEMS.iter().enumerate().find_map(|(index, known)| {
        let suffix = stem.strip_prefix(known)?;
        let known = CPU_ORDER.iter().position(|candidate| *candidate == suffix);
        (known.is_some() || suffix.starts_with(['_', '-'])).then(|| (known.unwrap_or(CPU_ORDER.len()), index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_on_a_cpu_comes_first() {
        let names = [
            "model.onnx",
            "model_fp16.onnx",
            "model_q4f16.onnx",
            "model_uint8.onnx",
            "model_strange.onnx",
            "model_q4.onnx",
            "model_quantized.onnx",
            "model_int8.onnx",
            "model.onnx_data",
            "vision_encoder.onnx",
            "models.onnx",
        ];
        assert_eq!(
            for_cpu(names),
            [
                "model_q4.onnx",
                "model_int8.onnx",
                "model_quantized.onnx",
                "model_uint8.onnx",
                "model.onnx",
                "model_fp16.onnx",
                "model_q4f16.onnx",
                "model_strange.onnx",
            ]
        );
        assert_eq!(
            for_cpu(["decoder_model_merged_q4.onnx", "model_fp16.onnx"])[0],
            "decoder_model_merged_q4.onnx"
        );
        assert!(for_cpu(["config.json"]).is_empty());
    }
}
