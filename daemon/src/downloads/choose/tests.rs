//! Repositories as they are, and what is taken of them.

use super::*;
use crate::downloads::digest::Digest;
use crate::downloads::hub::Content;

const MIB: u64 = 1 << 20;

fn listing(files: &[(&str, u64)]) -> Listing {
    Listing {
        commit: "0".repeat(40),
        files: files
            .iter()
            .map(|(path, mebibytes)| RemoteFile {
                path: (*path).to_owned(),
                content: Some(Content {
                    size: mebibytes * MIB,
                    digest: Digest::from_hex(&"ab".repeat(32)).unwrap(),
                }),
            })
            .collect(),
    }
}

/// As `onnx-community` publishes.
fn community() -> Listing {
    listing(&[
        (".gitattributes", 0),
        ("README.md", 0),
        ("LICENSE", 0),
        ("config.json", 0),
        ("generation_config.json", 0),
        ("merges.txt", 1),
        ("onnx/model.onnx", 1),
        ("onnx/model.onnx_data", 2000),
        ("onnx/model.onnx_data_1", 500),
        ("onnx/model_bnb4.onnx", 800),
        ("onnx/model_fp16.onnx", 1200),
        ("onnx/model_int8.onnx", 700),
        ("onnx/model_q4.onnx", 900),
        ("onnx/model_q4f16.onnx", 600),
        ("onnx/model_quantized.onnx", 700),
        ("onnx/model_uint8.onnx", 700),
        ("pytorch_model.bin", 2000),
        ("special_tokens_map.json", 0),
        ("tokenizer.json", 10),
        ("tokenizer_config.json", 0),
        ("vocab.json", 2),
    ])
}

/// As Microsoft publishes packages of ONNX Runtime GenAI.
fn genai() -> Listing {
    let mut files = vec![("LICENSE".to_owned(), 0), ("config.json".to_owned(), 0)];
    for (directory, size) in [
        ("cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4", 2700),
        ("cpu_and_mobile/cpu-int8-block-32", 4000),
        ("cuda/cuda-fp16", 7600),
        ("cuda/cuda-int4-rtn-block-32", 2300),
        ("directml/directml-int4-awq-block-128", 2100),
    ] {
        for (name, size) in [
            ("genai_config.json", 0),
            ("model.onnx", 50),
            ("model.onnx.data", size),
            ("tokenizer.json", 2),
            ("configuration_phi3.py", 0),
        ] {
            files.push((format!("{directory}/{name}"), size));
        }
    }
    let files: Vec<(&str, u64)> = files.iter().map(|(path, size)| (path.as_str(), *size)).collect();
    listing(&files)
}

fn ceiling(device: Device, mebibytes: u64) -> Ceiling {
    Ceiling {
        device,
        compute_capability: Some((8, 0)).filter(|_| device != Device::Cpu),
        bytes: mebibytes * MIB,
    }
}

fn taken(listing: &Listing, level: Option<Quantization>, ceilings: &[Ceiling]) -> Result<Choice, Fault> {
    choose(
        listing,
        &Wish {
            level,
            ceilings,
            recommended: &[],
        },
    )
}

fn paths(choice: &Choice) -> Vec<&str> {
    choice.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn only_what_the_variant_needs_is_taken() {
    let choice = taken(&community(), None, &[]).unwrap();
    assert_eq!(
        paths(&choice),
        [
            "LICENSE",
            "config.json",
            "generation_config.json",
            "onnx/model_q4.onnx",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    assert_eq!(
        (choice.level, choice.directory.as_str()),
        (Some(Quantization::Int4), "")
    );
    let full = taken(&community(), Some(Quantization::None), &[]).unwrap();
    let weights: Vec<_> = paths(&full)
        .into_iter()
        .filter(|path| path.starts_with("onnx/"))
        .collect();
    assert_eq!(
        weights,
        [
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx_data_1"
        ]
    );
}

#[test]
fn the_first_of_the_ladder_that_fits_is_taken() {
    for (ceilings, graph) in [
        (vec![ceiling(Device::Cpu, 4000)], "onnx/model_q4.onnx"),
        (vec![ceiling(Device::Cpu, 850)], "onnx/model_q4f16.onnx"),
        (vec![ceiling(Device::Cuda(0), 4000)], "onnx/model_fp16.onnx"),
        (
            vec![ceiling(Device::Cuda(0), 100), ceiling(Device::Cpu, 4000)],
            "onnx/model_q4.onnx",
        ),
        (vec![], "onnx/model_q4.onnx"),
    ] {
        let choice = taken(&community(), None, &ceilings).unwrap();
        assert_eq!(choice.graph, graph, "{ceilings:?}");
    }
}

#[test]
fn nothing_that_fits_is_said_with_the_figures() {
    let fault = taken(&community(), None, &[ceiling(Device::Cpu, 100)]).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::OutOfMemory);
    assert_eq!(fault.figures["available_bytes"], (100 * MIB).to_string());
    // Asked for by name it is fetched all the same.
    let choice = taken(
        &community(),
        Some(Quantization::Int4),
        &[ceiling(Device::Cpu, 100)],
    )
    .unwrap();
    assert_eq!(choice.graph, "onnx/model_q4.onnx");
}

#[test]
fn a_level_is_honoured_or_refused() {
    for (level, graph) in [
        (Quantization::Int8, Some("onnx/model_int8.onnx")),
        (Quantization::Float16, Some("onnx/model_fp16.onnx")),
        (Quantization::BFloat16, None),
        (Quantization::Int2, None),
    ] {
        match taken(&community(), Some(level), &[]) {
            Ok(choice) => assert_eq!(Some(choice.graph.as_str()), graph, "{level}"),
            Err(fault) => {
                assert_eq!((fault.kind, graph), (ErrorKind::InvalidArgument, None), "{level}");
                assert!(fault.message.contains("4bit, 8bit, fp16, none"), "{fault}");
            }
        }
    }
}

#[test]
fn a_directory_of_onnxruntime_genai_is_a_package() {
    let on_cpu = taken(&genai(), None, &[ceiling(Device::Cpu, 8000)]).unwrap();
    let directory = "cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/";
    assert_eq!(
        (on_cpu.directory.as_str(), on_cpu.level),
        (directory, Some(Quantization::Int4))
    );
    let names: Vec<_> = paths(&on_cpu)
        .iter()
        .map(|path| path.strip_prefix(directory).unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "genai_config.json",
            "model.onnx",
            "model.onnx.data",
            "tokenizer.json"
        ]
    );
    for (level, device, directory) in [
        (None, Device::Cuda(0), "cuda/cuda-fp16/"),
        (
            Some(Quantization::Int4),
            Device::Cuda(0),
            "cuda/cuda-int4-rtn-block-32/",
        ),
        (
            Some(Quantization::Int8),
            Device::Cpu,
            "cpu_and_mobile/cpu-int8-block-32/",
        ),
    ] {
        let choice = taken(&genai(), level, &[ceiling(device, 10_000)]).unwrap();
        assert_eq!(choice.directory, directory);
    }
}

#[test]
fn a_package_at_the_top_of_the_repository_is_taken() {
    let root = listing(&[
        ("genai_config.json", 0),
        ("model.onnx", 5),
        ("model.onnx.data", 50),
        ("README.md", 0),
        ("tokenizer.json", 0),
    ]);
    assert_eq!(
        paths(&taken(&root, None, &[]).unwrap()),
        [
            "genai_config.json",
            "model.onnx",
            "model.onnx.data",
            "tokenizer.json"
        ]
    );
    let bare = listing(&[
        ("model.onnx", 5),
        ("model.onnx_data", 50),
        ("tokenizer.json", 0),
        ("x.bin", 0),
    ]);
    assert_eq!(
        paths(&taken(&bare, None, &[]).unwrap()),
        ["model.onnx", "model.onnx_data", "tokenizer.json"]
    );
}

#[test]
fn what_a_catalogue_recommends_comes_first() {
    let recommended = [(Quantization::Int4, "onnx/model_q4f16.onnx".to_owned())];
    let wish = |recommended| Wish {
        level: None,
        ceilings: &[],
        recommended,
    };
    assert_eq!(
        choose(&community(), &wish(&recommended)).unwrap().graph,
        "onnx/model_q4f16.onnx"
    );
    let half = Wish {
        level: Some(Quantization::Float16),
        ..wish(&recommended)
    };
    assert_eq!(
        choose(&community(), &half).unwrap().graph,
        "onnx/model_fp16.onnx",
        "what the catalogue does not know may be asked for"
    );
    let elsewhere = [(Quantization::Int4, "onnx/gone.onnx".to_owned())];
    assert_eq!(
        choose(&community(), &wish(&elsewhere)).unwrap().graph,
        "onnx/model_q4.onnx"
    );
}

#[test]
fn what_cannot_run_is_refused() {
    for (files, words) in [
        (
            &[
                ("model.safetensors", 5),
                ("config.json", 0),
                ("tokenizer.json", 0),
            ][..],
            "no ONNX model",
        ),
        (&[("onnx/model.onnx", 5), ("config.json", 0)], "no tokenizer.json"),
        (&[("pytorch_model.bin", 5)], "no ONNX model"),
        (
            &[
                ("onnx/encoder_model.onnx", 5),
                ("onnx/decoder_model_merged.onnx", 5),
                ("config.json", 0),
                ("tokenizer.json", 0),
            ],
            "encoder-decoder",
        ),
        (&[], "no ONNX model"),
    ] {
        let fault = taken(&listing(files), None, &[]).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ModelIncompatible);
        assert!(fault.message.contains(words), "{fault}");
    }
    let other = listing(&[
        ("qnn/genai_config.json", 0),
        ("qnn/model.onnx", 5),
        ("qnn/tokenizer.json", 0),
    ]);
    let fault = taken(&other, None, &[ceiling(Device::Cpu, 100)]).unwrap_err();
    assert!(fault.message.contains("other kinds of devices"), "{fault}");
}
