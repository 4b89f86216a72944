use std::time::Duration;

use airunner_core::generate::Timings;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::StateName;
use airunner_core::memory::MemoryBreakdown;
use airunner_core::model::{Model, ModelKind, Source};
use airunner_core::usage::UsageEvent;
use airunner_core::{ErrorKind, ModelName};

use super::{Metrics, Picture, Request};

fn name() -> ModelName {
    ModelName::new("tiny").unwrap()
}

fn text(metrics: &Metrics) -> String {
    metrics.text(&Picture::default())
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(
        text.lines().any(|found| found == line),
        "{line} is not in:\n{text}"
    );
}

#[test]
fn requests_are_counted_by_route_and_status_and_refusals_by_reason() {
    let metrics = Metrics::default();
    let request = Request {
        family: "openai",
        method: "POST",
        route: "/v1/chat/completions",
        status: 200,
        took: Duration::from_millis(20),
        bytes: 512,
    };
    metrics.answered(&request);
    metrics.answered(&request);
    metrics.answered(&Request {
        status: 429,
        ..request
    });
    metrics.refused("openai", ErrorKind::QueueFull);
    let text = text(&metrics);
    let labels = r#"family="openai",method="POST",route="/v1/chat/completions""#;
    has(
        &text,
        &format!(r#"airunner_http_requests_total{{{labels},status="200"}} 2"#),
    );
    has(
        &text,
        &format!(r#"airunner_http_requests_total{{{labels},status="429"}} 1"#),
    );
    has(
        &text,
        &format!("airunner_http_response_bytes_total{{{labels}}} 1536"),
    );
    has(
        &text,
        &format!("airunner_http_request_seconds_count{{{labels}}} 3"),
    );
    has(
        &text,
        r#"airunner_http_refusals_total{family="openai",reason="queue_full"} 1"#,
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_open_is_counted_until_it_is_dropped() {
    let metrics = Metrics::default();
    let (first, second) = (metrics.connection(), metrics.connection());
    let request = metrics.open_request();
    has(&text(&metrics), "airunner_http_connections 2");
    has(&text(&metrics), "airunner_http_open_requests 1");
    drop((first, second, request));
    metrics.refused_connection();
    has(&text(&metrics), "airunner_http_connections 0");
    has(&text(&metrics), "airunner_http_open_requests 0");
    has(&text(&metrics), "airunner_http_refused_connections_total 1");
}

#[test]
fn what_happens_to_models_is_counted() {
    let metrics = Metrics::default();
    let answered = |tokens: (u64, u64), failed| UsageEvent::Answered {
        model: name(),
        prompt_tokens: tokens.0,
        completion_tokens: tokens.1,
        busy: Duration::from_secs(1),
        failed,
    };
    for event in [
        UsageEvent::Loaded {
            model: name(),
            took: Duration::from_secs(2),
        },
        UsageEvent::LoadFailed { model: name() },
        UsageEvent::Unloaded {
            model: name(),
            reason: "evicted_for:other".to_owned(),
            peak_bytes: 1,
        },
        answered((10, 20), false),
        answered((1, 2), false),
        answered((0, 0), true),
        answered((0, 0), false),
    ] {
        metrics.count(&event);
    }
    let text = text(&metrics);
    for line in [
        r#"airunner_load_seconds_sum{model="tiny"} 2.0"#,
        r#"airunner_failed_loads_total{model="tiny"} 1"#,
        r#"airunner_unloads_total{model="tiny",reason="evicted_for"} 1"#,
        r#"airunner_prompt_tokens_total{model="tiny"} 11"#,
        r#"airunner_completion_tokens_total{model="tiny"} 22"#,
        r#"airunner_answers_total{model="tiny",outcome="done"} 2"#,
        r#"airunner_answers_total{model="tiny",outcome="failed"} 1"#,
        r#"airunner_answers_total{model="tiny",outcome="abandoned"} 1"#,
    ] {
        has(&text, line);
    }
}

#[test]
fn times_of_an_answer_are_observed_and_a_speed_nobody_knows_is_not() {
    let metrics = Metrics::default();
    let timings = Timings {
        queue: Duration::from_millis(500),
        first_token: Duration::from_secs(1),
        tokens_per_second: 40.0,
        ..Timings::default()
    };
    metrics.time(&name(), &timings);
    metrics.time(
        &name(),
        &Timings {
            tokens_per_second: 0.0,
            ..timings
        },
    );
    let text = text(&metrics);
    has(&text, r#"airunner_queue_seconds_sum{model="tiny"} 1.0"#);
    has(
        &text,
        r#"airunner_time_to_first_token_seconds_count{model="tiny"} 2"#,
    );
    has(
        &text,
        r#"airunner_tokens_per_second_bucket{le="50.0",model="tiny"} 1"#,
    );
    has(&text, r#"airunner_tokens_per_second_count{model="tiny"} 1"#);
}

#[test]
fn the_moment_is_shown_as_it_is() {
    let picture = Picture {
        models: vec![Model {
            name: name(),
            kind: ModelKind::Llm,
            state: StateName::Loading,
            size_bytes: 1,
            source: Source::Builtin,
            instance: None,
            last_unload_reason: None,
            waiting_requests: 3,
        }],
        memory: vec![MemoryBreakdown {
            device: Device::Cpu,
            total_bytes: 100,
            budget_bytes: 80,
            models_bytes: 30,
            canvas_history_bytes: 5,
            system_reserve_bytes: 20,
            external_apps_bytes: 10,
            free_bytes: 35,
        }],
        own_memory_bytes: 7,
        uptime: Duration::from_secs(9),
    };
    let text = Metrics::default().text(&picture);
    for line in [
        r#"airunner_model_state{model="tiny",state="LOADING"} 1"#,
        r#"airunner_model_state{model="tiny",state="BUSY"} 0"#,
        r#"airunner_queue_length{model="tiny"} 3"#,
        r#"airunner_memory_bytes{device="cpu",part="models"} 30"#,
        r#"airunner_memory_budget_bytes{device="cpu"} 80"#,
        "airunner_daemon_memory_bytes 7",
        "airunner_uptime_seconds 9",
    ] {
        has(&text, line);
    }
}
