//! Which file names mean what in a repository of a model.

use airunner_core::memory::Quantization;
pub(in crate::downloads) use airunner_core::pickle::is_pickle;

/// Endings of files that packages of ONNX Runtime GenAI consist of.
const PLAIN: [&str; 6] = ["json", "jinja", "txt", "model", "onnx", "data"];

/// What goes with a graph of the Hugging Face layout.
const COMPANIONS: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
];

/// Stems of a graph that decodes by itself, the usual one first.
const STEMS: [&str; 2] = ["model", "decoder_model_merged"];

/// Suffixes of graph files, those that a CPU computes fastest first within a level.
const SUFFIXES: [(&str, Quantization); 14] = [
    ("_q4", Quantization::Int4),
    ("_q4f16", Quantization::Int4),
    ("_bnb4", Quantization::Int4),
    ("_int4", Quantization::Int4),
    ("_int8", Quantization::Int8),
    ("_quantized", Quantization::Int8),
    ("_q8", Quantization::Int8),
    ("_uint8", Quantization::Int8),
    ("", Quantization::None),
    ("_fp32", Quantization::None),
    ("_fp16", Quantization::Float16),
    ("_bf16", Quantization::BFloat16),
    ("_q2", Quantization::Int2),
    ("_q2f16", Quantization::Int2),
];

pub(super) fn is_companion(path: &str) -> bool {
    COMPANIONS.contains(&path)
}

/// A file a package of ONNX Runtime GenAI may need.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = extension(name).is_some_and(|ending| PLAIN.contains(&ending.as_str()));
    !is_pickle(name)
        && !name.starts_with('.')
        && (plain || name.contains(".onnx_data") || name.contains(".onnx.data"))
}

fn extension(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
}

/// What the name of a graph file (without directory) says: how it ranks among its likes, and its
/// level. `None` if it is no graph of a language model.
pub(super) fn graph(name: &str) -> Option<(usize, Quantization)> {
    let stem = name.strip_suffix(".onnx")?;
    STEMS.iter().enumerate().find_map(|(kind, known)| {
        let suffix = stem.strip_prefix(known)?;
        let rank = SUFFIXES.iter().position(|(candidate, _)| *candidate == suffix)?;
        Some((rank * STEMS.len() + kind, SUFFIXES[rank].1))
    })
}

/// True for the usual names of the weights beside a graph.
pub(super) fn is_data_of(graph: &str, path: &str) -> bool {
    let numbered = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix('_').is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
            })
    };
    let stem = graph.strip_suffix(".onnx").unwrap_or(graph);
    let after_graph = path
        .strip_prefix(graph)
        .and_then(|rest| rest.strip_prefix("_data").or_else(|| rest.strip_prefix(".data")));
    let after_stem = path
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix(".data"));
    after_graph.is_some_and(numbered) || after_stem.is_some_and(numbered)
}

/// The level a free text such as `cpu-int4-rtn-block-32-acc-level-4` speaks of.
pub(super) fn level_in(text: &str) -> Option<Quantization> {
    let text = text.to_ascii_lowercase();
    [
        (
            &["int4", "4bit", "4-bit", "q4", "awq", "gptq"][..],
            Quantization::Int4,
        ),
        (&["int8", "8bit", "8-bit", "q8", "quantized"], Quantization::Int8),
        (&["int2", "2bit", "2-bit", "q2"], Quantization::Int2),
        (&["bf16", "bfloat16"], Quantization::BFloat16),
        (&["fp16", "float16"], Quantization::Float16),
        (&["fp32", "float32"], Quantization::None),
    ]
    .into_iter()
    .find_map(|(words, level)| words.iter().any(|word| text.contains(word)).then_some(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_not_fetched() {
        for path in [
            "pytorch_model.bin",
            "a/b.PT",
            "x.ckpt",
            "x.pth",
            "x.npz",
            "x.pkl",
            "onnx/rotary.NPZ",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn weights_belong_to_their_graph_alone() {
        for (graph, path, belongs) in [
            ("onnx/model.onnx", "onnx/model.onnx_data", true),
            ("onnx/model.onnx", "onnx/model.onnx_data_12", true),
            ("model.onnx", "model.onnx.data", true),
            ("model.onnx", "model.data", true),
            ("onnx/model.onnx", "onnx/model.onnx_data_x", false),
            ("onnx/model.onnx", "onnx/model_q4.onnx_data", false),
            ("onnx/model.onnx", "model.onnx_data", false),
            ("onnx/model_q4.onnx", "onnx/model_q4f16.onnx_data", false),
        ] {
            assert_eq!(is_data_of(graph, path), belongs, "{graph} {path}");
        }
    }

    #[test]
    fn names_tell_levels() {
        assert_eq!(graph("model_q4f16.onnx").unwrap().1, Quantization::Int4);
        assert_eq!(graph("model.onnx").unwrap().1, Quantization::None);
        assert!(graph("model_q4.onnx") < graph("model_q4f16.onnx"));
        assert!(graph("model_fp16.onnx") < graph("decoder_model_merged_fp16.onnx"));
        for name in [
            "vision_encoder.onnx",
            "model.onnx_data",
            "model_q4_extra.onnx",
            "models.onnx",
        ] {
            assert_eq!(graph(name), None, "{name}");
        }
        for (text, level) in [
            ("cpu-int4-rtn-block-32-acc-level-4", Some(Quantization::Int4)),
            ("cuda-fp16", Some(Quantization::Float16)),
            ("gpu-int4-awq-block-128-fp16", Some(Quantization::Int4)),
            ("cpu-fp32", Some(Quantization::None)),
            ("cpu", None),
        ] {
            assert_eq!(level_in(text), level, "{text}");
        }
    }
}
