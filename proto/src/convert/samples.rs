//! Every domain value, for property tests.

mod access;
mod daemon;
mod hub;
mod machine;
mod notifications;

use std::time::{Duration, SystemTime};

use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use airunner_core::generate::{
    ClientId, Done, FinishReason, GenerateEvent, GenerateRequest, Input, OutputFormat, Sampling, TextDelta,
    Timings, TokenLogprob, ToolCallDelta, ToolChoice, Usage,
};
use airunner_core::lifecycle::{StateName, UnloadReason};
use airunner_core::memory::Quantization;
use airunner_core::model::{
    CacheOnDisk, CacheType, Capability, ImportProgress, ImportRequest, ImportStage, Instance, LoadEvent,
    LoadProgress, LoadRequest, LoadStage, Loaded, Model, ModelDetails, ModelKind, PackageFile, PackageFormat,
    Queued, Source, WorkerLoad,
};
use airunner_core::{ErrorKind, Fault, KeepAlive, ModelName, Priority};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

pub(super) use access::*;
pub(super) use daemon::*;
pub(super) use hub::*;
pub(super) use machine::*;
pub(super) use notifications::*;

pub(super) fn name() -> impl Strategy<Value = ModelName> {
    "[a-z0-9]{2,9}(/[A-Z][a-z0-9._-]{0,8}z)?".prop_filter_map("reserved", |text| ModelName::new(&text).ok())
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    option::of(".{1,12}")
}

pub(super) fn duration() -> impl Strategy<Value = Duration> {
    (0..1_u64 << 40).prop_map(Duration::from_millis)
}

fn moment() -> impl Strategy<Value = SystemTime> {
    duration().prop_map(|time| SystemTime::UNIX_EPOCH + time)
}

fn level() -> impl Strategy<Value = Option<Quantization>> {
    option::of(select(&Quantization::ALL))
}

pub(super) fn fault() -> impl Strategy<Value = Fault> {
    let figures = btree_map("[a-z_]{1,12}", text(), 0..4);
    let wait = option::of(duration());
    (select(&ErrorKind::ALL), text(), wait, figures).prop_map(|(kind, message, retry_after, figures)| Fault {
        kind,
        message,
        retry_after,
        figures,
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000..1_000_000_i32).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    });
    vec((text(), value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

pub(super) fn keep_alive() -> impl Strategy<Value = KeepAlive> {
    prop_oneof![Just(KeepAlive::Forever), duration().prop_map(KeepAlive::After)]
}

pub(super) fn progress() -> impl Strategy<Value = LoadProgress> {
    (select(&LoadStage::ALL), 0.0..=1.0_f32).prop_map(|(stage, fraction)| LoadProgress { stage, fraction })
}

fn priority() -> impl Strategy<Value = Priority> {
    select(&Priority::ALL)
}

fn queued() -> impl Strategy<Value = Queued> {
    (any::<u32>(), option::of(duration()), text()).prop_map(|(position, estimated_wait, reason)| Queued {
        position,
        estimated_wait,
        reason,
    })
}

pub(super) fn load_request() -> impl Strategy<Value = LoadRequest> {
    let options = (any::<Option<bool>>(), option::of(1..=u32::MAX), level());
    let turn = (priority(), option::of(duration()));
    (name(), option::of(keep_alive()), options, turn).prop_map(
        |(name, keep_alive, (pinned, context_length, level), (priority, max_wait))| LoadRequest {
            name,
            keep_alive,
            pinned,
            context_length,
            level,
            priority,
            max_wait,
        },
    )
}

pub(super) fn load_event() -> impl Strategy<Value = LoadEvent> {
    prop_oneof![
        queued().prop_map(LoadEvent::Queued),
        progress().prop_map(LoadEvent::Progress),
        model().prop_map(|model| LoadEvent::Loaded(Box::new(model))),
    ]
}

pub(super) fn loaded() -> impl Strategy<Value = Loaded> {
    (any::<([String; 3], u32, bool, Vec<String>)>(), level()).prop_map(
        |(([device, variant, cache_type], context_length, prepacked, warnings), level)| Loaded {
            device,
            context_length,
            variant,
            level,
            prepacked,
            cache_type,
            warnings,
        },
    )
}

pub(super) fn import_request() -> impl Strategy<Value = ImportRequest> {
    (name(), "[a-zé ]{0,12}", any::<bool>()).prop_map(|(name, path, link)| {
        // A path that is absolute on this system.
        let directory = std::env::temp_dir().join(path);
        ImportRequest {
            directory: directory
                .to_str()
                .expect("it has only such characters")
                .to_owned(),
            name,
            link,
        }
    })
}

pub(super) fn import_progress() -> impl Strategy<Value = ImportProgress> {
    let stage = select(vec![
        ImportStage::Checking,
        ImportStage::Copying,
        ImportStage::Publishing,
    ]);
    (stage, any::<u64>(), any::<u64>()).prop_map(|(stage, done_bytes, total_bytes)| ImportProgress {
        stage,
        done_bytes,
        total_bytes,
    })
}

fn instance() -> impl Strategy<Value = Instance> {
    (
        any::<[u32; 5]>(),
        [text(), text(), text(), text()],
        any::<([u64; 2], [bool; 2])>(),
        option::of(progress()),
        option::of(moment()),
        level(),
    )
        .prop_map(
            |(
                [pid, context_length, active, waiting, threads],
                [device, variant, loaded_for, cache_type],
                ([memory_bytes, estimated_bytes], [pinned, prepacked]),
                progress,
                expires_at,
                level,
            )| {
                Instance {
                    pid,
                    device,
                    memory_bytes,
                    context_length,
                    active_requests: active,
                    waiting_requests: waiting,
                    progress,
                    expires_at,
                    variant,
                    estimated_bytes,
                    pinned,
                    loaded_for,
                    level,
                    prepacked,
                    threads,
                    cache_type,
                }
            },
        )
}

fn unload_reason() -> impl Strategy<Value = UnloadReason> {
    prop_oneof![
        select(&UnloadReason::PLAIN),
        name().prop_map(UnloadReason::EvictedFor),
    ]
}

pub(super) fn model() -> impl Strategy<Value = Model> {
    let source = prop_oneof![
        Just(Source::Builtin),
        text().prop_map(Source::Import),
        text().prop_map(Source::Linked),
        text().prop_map(Source::Hub),
    ];
    (
        name(),
        select(&StateName::ALL),
        any::<u64>(),
        source,
        option::of(instance()),
        option::of(unload_reason()),
        any::<u32>(),
    )
        .prop_map(
            |(name, state, size_bytes, source, instance, last_unload_reason, waiting_requests)| Model {
                name,
                kind: ModelKind::Llm,
                state,
                size_bytes,
                source,
                instance,
                last_unload_reason,
                waiting_requests,
            },
        )
}

pub(super) fn details() -> impl Strategy<Value = ModelDetails> {
    let format = select(vec![
        PackageFormat::HuggingFace,
        PackageFormat::GenAi,
        PackageFormat::Bare,
    ]);
    let file = (text(), any::<u64>(), some_text()).prop_map(|(path, size_bytes, sha256)| PackageFile {
        path,
        size_bytes,
        sha256,
    });
    let package = (
        format,
        text(),
        option::of(1..=u32::MAX),
        vec(text(), 0..3),
        vec(select(Capability::ALL.to_vec()), 0..3),
        sampling(),
        option::of(1..=u64::MAX),
    );
    (model(), package, vec(file, 0..3), some_text(), text()).prop_map(
        |(model, package, files, chat_template, directory)| {
            let (format, architecture, context_length, variants, capabilities, sampling, parameters) =
                package;
            ModelDetails {
                model,
                format,
                architecture,
                context_length,
                variants,
                files,
                chat_template,
                directory,
                capabilities,
                sampling,
                parameters,
            }
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let call =
        (text(), ".{1,8}", object()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments });
    (
        ".{1,8}",
        text(),
        vec(call, 0..3),
        some_text(),
        some_text(),
        some_text(),
    )
        .prop_map(
            |(role, content, tool_calls, tool_call_id, name, reasoning)| Message {
                role,
                content,
                tool_calls,
                tool_call_id,
                name,
                reasoning,
            },
        )
}

pub(super) fn conversation() -> impl Strategy<Value = Conversation> {
    let tool =
        (".{1,8}", text(), object().prop_map(Value::Object)).prop_map(|(name, description, parameters)| {
            Tool {
                name,
                description,
                parameters,
            }
        });
    let documents = vec(object().prop_map(Value::Object), 0..3);
    (
        vec(message(), 1..4),
        vec(tool, 0..3),
        documents,
        object(),
        any::<bool>(),
        vec(any::<u32>(), 0..3),
    )
        .prop_map(
            |(messages, tools, documents, template_variables, continues, earlier)| Conversation {
                messages,
                tools,
                documents,
                template_variables,
                continues,
                earlier,
            },
        )
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let penalties = (
        option::of(0.01..=10.0_f32),
        option::of(-2.0..=2.0_f32),
        option::of(-2.0..=2.0_f32),
    );
    let cuts = (
        option::of(any::<u32>()),
        option::of(0.0..=1.0_f32),
        option::of(0.0..=1.0_f32),
    );
    let bias = btree_map(any::<u32>(), -100.0..=100.0_f32, 0..4);
    (
        option::of(0.0..=10.0_f32),
        cuts,
        penalties,
        any::<Option<u64>>(),
        bias,
    )
        .prop_map(
            |(temperature, (top_k, top_p, min_p), (repetition, frequency, presence), seed, logit_bias)| {
                Sampling {
                    temperature,
                    top_k,
                    top_p,
                    min_p,
                    repetition_penalty: repetition,
                    frequency_penalty: frequency,
                    presence_penalty: presence,
                    seed,
                    logit_bias,
                }
            },
        )
}

fn output_format() -> impl Strategy<Value = OutputFormat> {
    prop_oneof![
        Just(OutputFormat::Text),
        Just(OutputFormat::JsonObject),
        any::<bool>().prop_map(|allows| OutputFormat::JsonSchema(allows.into())),
        ".{1,12}".prop_map(OutputFormat::Regex),
    ]
}

pub(super) fn generate_request() -> impl Strategy<Value = GenerateRequest> {
    let input = prop_oneof![
        ".{1,12}".prop_map(Input::Raw),
        vec(any::<u32>(), 1..4).prop_map(Input::Tokens),
        conversation().prop_map(Input::Conversation)
    ];
    let limits = (
        option::of(1..=u32::MAX),
        vec(".{1,8}", 0..4),
        option::of(0..=20_u32),
    );
    let turn = (priority(), option::of(duration()));
    let held = (
        output_format(),
        select(vec![ToolChoice::Auto, ToolChoice::None]),
        any::<[bool; 2]>(),
    );
    let turn = (turn, held);
    (name(), input, sampling(), limits, option::of(keep_alive()), turn).prop_map(
        |(model, input, sampling, (max_tokens, stop, top_logprobs), keep_alive, (turn, held))| {
            let (priority, max_wait) = turn;
            let (format, tool_choice, [parallel_tool_calls, is_private]) = held;
            GenerateRequest {
                model,
                input,
                sampling,
                max_tokens,
                stop,
                top_logprobs,
                keep_alive,
                priority,
                max_wait,
                format,
                tool_choice,
                parallel_tool_calls,
                client: ClientId::default(),
                is_private,
            }
        },
    )
}

fn delta() -> impl Strategy<Value = TextDelta> {
    let leaf = (any::<u32>(), any::<Vec<u8>>(), -1000.0..=0.0_f32).prop_map(|(token_id, token, logprob)| {
        TokenLogprob {
            token_id,
            token,
            logprob,
            top: Vec::new(),
        }
    });
    let logprob = (leaf.clone(), vec(leaf, 0..3)).prop_map(|(token, top)| TokenLogprob { top, ..token });
    (text(), vec(logprob, 0..3)).prop_map(|(text, logprobs)| TextDelta { text, logprobs })
}

fn done() -> impl Strategy<Value = Done> {
    let usage = any::<[u32; 3]>().prop_map(|[prompt_tokens, cached_tokens, completion_tokens]| Usage {
        prompt_tokens,
        cached_tokens,
        completion_tokens,
    });
    // Exact up to 26 days: beyond that, milliseconds as a double lose nanoseconds.
    let time = || (0..1_u64 << 50).prop_map(Duration::from_nanos);
    let timings = (time(), time(), time(), time(), time(), 0.0..1e9_f64, 0.0..1e9_f64).prop_map(
        |(queue, load, prompt, first_token, decode, prompt_tokens_per_second, tokens_per_second)| Timings {
            queue,
            load,
            prompt,
            first_token,
            decode,
            prompt_tokens_per_second,
            tokens_per_second,
        },
    );
    (select(&FinishReason::ALL), usage, timings, option::of(".{1,4}")).prop_map(
        |(finish_reason, usage, timings, stop_sequence)| Done {
            finish_reason,
            stop_sequence,
            usage,
            timings,
        },
    )
}

pub(super) fn generate_event() -> impl Strategy<Value = GenerateEvent> {
    let call = (any::<u32>(), some_text(), some_text(), text()).prop_map(|(index, id, name, arguments)| {
        ToolCallDelta {
            index,
            id,
            name,
            arguments,
        }
    });
    prop_oneof![
        queued().prop_map(GenerateEvent::Queued),
        progress().prop_map(GenerateEvent::Loading),
        any::<[u32; 3]>().prop_map(|[processed_tokens, total_tokens, cached_tokens]| {
            GenerateEvent::Prompt {
                processed_tokens,
                total_tokens,
                cached_tokens,
            }
        }),
        delta().prop_map(GenerateEvent::Text),
        delta().prop_map(GenerateEvent::Reasoning),
        call.prop_map(GenerateEvent::ToolCall),
        done().prop_map(GenerateEvent::Done),
    ]
}

pub(super) fn worker_load() -> impl Strategy<Value = WorkerLoad> {
    let numbers = (
        option::of(1..=u32::MAX),
        option::of(1..=u32::MAX),
        1..=u32::MAX,
        1..=u32::MAX,
    );
    let on_disk = (".{1,12}", any::<u64>(), text());
    let on_disk = on_disk.prop_map(|(directory, limit, model)| CacheOnDisk {
        directory,
        limit,
        model,
    });
    let cache = (select(&CacheType::ALL), option::of(on_disk));
    let texts = (some_text(), some_text(), some_text(), cache);
    (".{1,12}", text(), any::<bool>(), numbers, any::<u32>(), texts).prop_map(
        |(
            directory,
            library,
            allow_spinning,
            (threads, context, parallel, chunk),
            queue_length,
            (variant, prepacked_directory, kernels, (cache_type, cache_on_disk)),
        )| {
            WorkerLoad {
                directory,
                onnxruntime_library: library,
                threads,
                allow_spinning,
                context_length: context,
                parallel_requests: parallel,
                queue_length,
                prompt_chunk: chunk,
                variant,
                prepacked_directory,
                kernels,
                cache_type,
                cache_on_disk,
            }
        },
    )
}
