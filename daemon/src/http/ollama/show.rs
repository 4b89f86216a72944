//! `POST /api/show`.

use std::fmt::Write as _;

use airunner_core::chat::Message;
use airunner_core::defaults::Defaults;
use airunner_core::generate::{Sampling, UNLIMITED};
use airunner_core::model::{Capability, ModelDetails};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::payload::Payload;
use super::dates::text;
use super::list::Details;
use super::names::{Named, find};

/// Which model.
#[derive(Deserialize, ToSchema)]
pub(super) struct ShowRequest {
    #[serde(flatten)]
    named: Named,
}

/// Everything about a model.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    modelfile: String,
    /// A line for each.
    parameters: String,
    /// In the language of Jinja, not of Go.
    template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    /// Turns that conversations begin with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Turn>,
    details: Details,
    #[schema(value_type = Object)]
    model_info: Map<String, Value>,
    /// `completion`, `tools`, `thinking`, `embedding`.
    capabilities: Vec<&'static str>,
    modified_at: String,
}

/// A turn that conversations begin with.
#[derive(Serialize, ToSchema)]
pub(super) struct Turn {
    role: String,
    content: String,
}

/// Everything about a model.
#[utoipa::path(post, path = "/api/show", tag = "ollama", request_body = ShowRequest, responses(
    (status = 200, body = Shown),
    (status = 404, description = "no such model"),
))]
pub(super) async fn show(
    State(api): State<Api>,
    Payload(request): Payload<ShowRequest>,
) -> Result<Json<Shown>, Failure> {
    let name = find(&api, request.named.text()?).await?;
    let details = api.models.show(&name).await?;
    let defaults = api.models.find(&name).await?.defaults;
    let card = api.models.card(&name).await?;
    let parameters = parameters(&defaults, &details.sampling);
    Ok(Json(Shown {
        modelfile: modelfile(name.as_str(), &parameters, &defaults, card.license.as_deref()),
        parameters,
        template: details.chat_template.clone().unwrap_or_default(),
        system: defaults.system,
        license: card.license,
        messages: turns(defaults.messages),
        details: Details::of(&details),
        model_info: info(&details),
        capabilities: capabilities(&details),
        modified_at: text(card.installed_at),
    }))
}

fn turns(messages: Vec<Message>) -> Vec<Turn> {
    let turn = |Message { role, content, .. }| Turn { role, content };
    messages.into_iter().map(turn).collect()
}

fn capabilities(details: &ModelDetails) -> Vec<&'static str> {
    let known = details.capabilities.iter();
    known
        .filter(|capability| **capability != Capability::Chat)
        .map(|capability| capability.as_str())
        .collect()
}

fn info(details: &ModelDetails) -> Map<String, Value> {
    let family = &details.architecture;
    let mut info = Map::new();
    info.insert("general.architecture".to_owned(), family.as_str().into());
    if let Some(count) = details.parameters {
        info.insert("general.parameter_count".to_owned(), count.into());
    }
    if let Some(length) = details.context_length {
        info.insert(format!("{family}.context_length"), length.into());
    }
    info
}

/// What answers are like if nobody says otherwise.
fn parameters(defaults: &Defaults, of_package: &Sampling) -> String {
    let sampling = defaults.sampling.clone().or(of_package);
    let number = |value: Option<f32>| value.map(|value| value.to_string());
    let lines = [
        (
            "num_ctx",
            defaults.context_length.map(|length| length.to_string()),
        ),
        (
            "num_predict",
            defaults.max_tokens.map(|count| match count {
                UNLIMITED => "-1".to_owned(),
                count => count.to_string(),
            }),
        ),
        ("temperature", number(sampling.temperature)),
        ("top_k", sampling.top_k.map(|k| k.to_string())),
        ("top_p", number(sampling.top_p)),
        ("min_p", number(sampling.min_p)),
        ("repeat_penalty", number(sampling.repetition_penalty)),
        ("presence_penalty", number(sampling.presence_penalty)),
        ("frequency_penalty", number(sampling.frequency_penalty)),
        ("seed", sampling.seed.map(|seed| seed.to_string())),
    ];
    let set = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let stops = defaults.stop.iter().map(|stop| ("stop", format!("{stop:?}")));
    let lines: Vec<String> = set
        .chain(stops)
        .map(|(name, value)| format!("{name:<30} {value}"))
        .collect();
    lines.join("\n")
}

fn modelfile(name: &str, parameters: &str, defaults: &Defaults, license: Option<&str>) -> String {
    let mut text = format!("FROM {name}\n");
    for line in parameters.lines() {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "PARAMETER {line}");
    }
    if let Some(system) = &defaults.system {
        let _ = writeln!(text, "SYSTEM \"\"\"{system}\"\"\"");
    }
    for message in &defaults.messages {
        let _ = writeln!(text, "MESSAGE {} \"\"\"{}\"\"\"", message.role, message.content);
    }
    if let Some(license) = license {
        let _ = writeln!(text, "LICENSE \"\"\"{license}\"\"\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_lines_and_those_of_the_derived_model_go_before() {
        let defaults = Defaults {
            system: Some("Be brief.".to_owned()),
            sampling: Sampling {
                temperature: Some(0.5),
                ..Sampling::default()
            },
            stop: vec!["END".to_owned()],
            max_tokens: Some(UNLIMITED),
            context_length: Some(2048),
            messages: vec![Message::new("user", "Who?")],
        };
        let package = Sampling {
            temperature: Some(1.0),
            top_k: Some(20),
            ..Sampling::default()
        };
        let told = parameters(&defaults, &package);
        let words: Vec<Vec<&str>> = told
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words,
            [
                ["num_ctx", "2048"],
                ["num_predict", "-1"],
                ["temperature", "0.5"],
                ["top_k", "20"],
                ["stop", "\"END\""],
            ]
        );
        let file = modelfile("tiny", &told, &defaults, Some("Free."));
        assert!(
            file.starts_with("FROM tiny\nPARAMETER num_ctx")
                && file.ends_with(
                    "SYSTEM \"\"\"Be brief.\"\"\"\nMESSAGE user \"\"\"Who?\"\"\"\nLICENSE \"\"\"Free.\"\"\"\n"
                )
        );
    }
}
