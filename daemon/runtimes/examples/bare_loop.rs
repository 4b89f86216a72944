//! The yardstick: ONNX Runtime driven by the shortest loop that is right, and nothing around it.
//!
//!     bare_loop LIBRARY PACKAGE THREADS
//!
//! PACKAGE is an ONNX Runtime GenAI directory whose graph shares its past and present buffers
//! (`GroupQueryAttention`). Every line of standard input is a round, such as `prompt=512 decode=128
//! batch=1 chunk=0`: each row decodes greedily from a prompt of pseudo-random tokens, and one line of
//! JSON says `prompt_tokens_per_second` and `tokens_per_second` over all rows. `chunk` splits the
//! prompt pass (0: in one piece; only for one row).

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that prints figures"
)]

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use anyhow::{Context, ensure};
use ort::environment::Environment;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;
use serde_json::{Value, json};

/// The numbers of a run.
struct Plan {
    prompt: usize,
    decode: usize,
    batch: usize,
    chunk: usize,
}

/// What the package says of its decoder.
struct Shape {
    file: String,
    layers: usize,
    key_value_heads: usize,
    head_size: usize,
    vocabulary: usize,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments
        .next()
        .context("the first argument is ONNX Runtime's library")?;
    let directory = arguments.next().context("the second argument is a package")?;
    let threads = arguments
        .next()
        .context("the third argument is the number of threads")?
        .parse()?;
    let shape = Shape::read(&directory)?;
    let environment = ort::init_from(library)?.build()?;
    let mut session = open(&environment, &format!("{directory}/{}", shape.file), threads)
        .map_err(|error| anyhow::anyhow!("the session cannot be made: {error}"))?;
    for line in std::io::stdin().lines() {
        println!("{}", round(&mut session, &shape, &Plan::parse(&line?)?)?);
    }
    Ok(())
}

fn open(environment: &Environment, graph: &str, threads: usize) -> Result<Session, Box<dyn Error>> {
    Ok(Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_intra_op_spinning(false)?
        .with_memory_pattern(false)?
        .commit_from_file(graph)?)
}

impl Plan {
    fn parse(line: &str) -> anyhow::Result<Self> {
        let given: HashMap<String, usize> = line
            .split_whitespace()
            .map(|argument| {
                let (name, value) = argument.split_once('=').context("arguments are name=value")?;
                Ok((name.to_owned(), value.parse()?))
            })
            .collect::<anyhow::Result<_>>()?;
        let number = |name: &str, default| given.get(name).copied().unwrap_or(default);
        let plan = Self {
            prompt: number("prompt", 512),
            decode: number("decode", 128),
            batch: number("batch", 1),
            chunk: number("chunk", 0),
        };
        ensure!(
            plan.chunk == 0 || plan.batch == 1,
            "a prompt in chunks is for one row"
        );
        ensure!(
            plan.prompt > 0 && plan.decode > 1 && plan.batch > 0,
            "nothing to measure"
        );
        Ok(plan)
    }
}

impl Shape {
    fn read(directory: &str) -> anyhow::Result<Self> {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(format!(
            "{directory}/genai_config.json"
        ))?)?;
        let decoder = &config["model"]["decoder"];
        let number = |value: &Value| -> anyhow::Result<usize> {
            Ok(value
                .as_u64()
                .context("a number is missing in genai_config.json")?
                .try_into()?)
        };
        Ok(Self {
            file: decoder["filename"]
                .as_str()
                .context("no decoder.filename")?
                .to_owned(),
            layers: number(&decoder["num_hidden_layers"])?,
            key_value_heads: number(&decoder["num_key_value_heads"])?,
            head_size: number(&decoder["head_size"])?,
            vocabulary: number(&config["model"]["vocab_size"])?,
        })
    }
}

fn round(session: &mut Session, shape: &Shape, plan: &Plan) -> anyhow::Result<Value> {
    let mut binding = session.create_binding()?;
    let _cache = bind_cache(&mut binding, shape, plan)?;
    let prompt = prompt_tokens(plan.prompt, shape.vocabulary);

    let begin = Instant::now();
    let chunk = if plan.chunk == 0 { plan.prompt } else { plan.chunk };
    let mut next = Vec::new();
    for start in (0..plan.prompt).step_by(chunk) {
        let end = (start + chunk).min(plan.prompt);
        let ids: Vec<i64> = (0..plan.batch)
            .flat_map(|_| prompt[start..end].iter().copied())
            .collect();
        next = step(session, &mut binding, &ids, end, shape, plan)?;
    }
    let prompt_seconds = begin.elapsed().as_secs_f64();

    let begin = Instant::now();
    for position in 0..plan.decode - 1 {
        next = step(
            session,
            &mut binding,
            &next,
            plan.prompt + position + 1,
            shape,
            plan,
        )?;
    }
    let decode_seconds = begin.elapsed().as_secs_f64();
    let rate = |tokens: usize, seconds: f64| (tokens * plan.batch) as f64 / seconds;
    Ok(json!({
        "prompt_tokens_per_second": rate(plan.prompt, prompt_seconds),
        "tokens_per_second": rate(plan.decode - 1, decode_seconds),
    }))
}

/// One buffer per layer and kind, bound as past and as present: nothing is copied between steps.
fn bind_cache(binding: &mut IoBinding, shape: &Shape, plan: &Plan) -> anyhow::Result<Vec<Tensor<f32>>> {
    let allocator = Allocator::default();
    let length = plan.prompt + plan.decode;
    let mut buffers = Vec::new();
    for layer in 0..shape.layers {
        for kind in ["key", "value"] {
            let size = [plan.batch, shape.key_value_heads, length, shape.head_size];
            let mut buffer = Tensor::<f32>::new(&allocator, size)?;
            buffer.extract_tensor_mut().1.fill(0.0);
            binding.bind_input(format!("past_key_values.{layer}.{kind}"), &buffer)?;
            binding.bind_output(format!("present.{layer}.{kind}"), &mut buffer)?;
            buffers.push(buffer);
        }
    }
    Ok(buffers)
}

/// Runs `ids` (rows of equal length) ending at `total` tokens, and returns each row's likeliest next.
fn step(
    session: &mut Session,
    binding: &mut IoBinding,
    ids: &[i64],
    total: usize,
    shape: &Shape,
    plan: &Plan,
) -> anyhow::Result<Vec<i64>> {
    let cpu = MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Device,
        MemoryType::CPUOutput,
    )?;
    let length = ids.len() / plan.batch;
    binding.bind_input(
        "input_ids",
        &Tensor::from_array(([plan.batch, length], ids.to_vec()))?,
    )?;
    let mask = vec![1_i64; plan.batch * total];
    binding.bind_input(
        "attention_mask",
        &Tensor::from_array(([plan.batch, total], mask))?,
    )?;
    binding.bind_output_to_device("logits", &cpu)?;
    let outputs = session.run_binding(binding)?;
    let (_, logits) = outputs["logits"].try_extract_tensor::<f32>()?;
    let rows = logits.len() / shape.vocabulary / plan.batch;
    Ok((0..plan.batch)
        .map(|row| {
            let last = (row * rows + rows - 1) * shape.vocabulary;
            argmax(&logits[last..last + shape.vocabulary])
        })
        .collect())
}

fn argmax(logits: &[f32]) -> i64 {
    let mut best = 0;
    for (index, &value) in logits.iter().enumerate() {
        if value > logits[best] {
            best = index;
        }
    }
    best as i64
}

fn prompt_tokens(count: usize, vocabulary: usize) -> Vec<i64> {
    let mut state = 12345_u64;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % (vocabulary as u64 - 10)) as i64 + 5
        })
        .collect()
}
