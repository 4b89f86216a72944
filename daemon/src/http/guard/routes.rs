//! The one table of what each route needs.

use airunner_core::access::Scope;
use axum::http::Method;

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it tells nothing private and changes nothing.
    Nothing,
    /// A key, whatever it is good for; what is not the caller's own is not shown.
    Key,
    /// A key that is good for this.
    Scope(Scope),
}

use Need::{Key, Nothing};
const ASK: Need = Need::Scope(Scope::Inference);
const MODELS: Need = Need::Scope(Scope::Models);
/// What concerns all users, or reads any file of this one.
const ADMIN: Need = Need::Scope(Scope::Admin);

/// By the pattern of the route, as the router knows it; a star at the end is for all that begins
/// so. HEAD is GET.
const TABLE: &[(&str, &str, Need)] = &[
    ("GET", "/", Nothing),
    ("GET", "/health", Nothing),
    ("GET", "/live", Nothing),
    ("GET", "/ready", Nothing),
    ("GET", "/version", Nothing),
    ("GET", "/docs", Nothing),
    ("GET", "/docs/*", Nothing),
    ("GET", "/openapi.json", Nothing),
    ("GET", "/metrics", MODELS),
    // Our own.
    ("GET", "/api/v1/health", Nothing),
    ("GET", "/api/v1/live", Nothing),
    ("GET", "/api/v1/ready", Nothing),
    ("GET", "/api/v1/version", Nothing),
    ("GET", "/api/v1/status", MODELS),
    ("GET", "/api/v1/usage", MODELS),
    ("GET", "/api/v1/catalog", Key),
    ("GET", "/api/v1/events", MODELS),
    ("GET", "/api/v1/events/ws", MODELS),
    ("GET", "/api/v1/hardware", MODELS),
    ("GET", "/api/v1/memory", MODELS),
    ("PUT", "/api/v1/memory/budget", ADMIN),
    ("POST", "/api/v1/memory/free", MODELS),
    ("GET", "/api/v1/settings", ADMIN),
    ("PATCH", "/api/v1/settings", ADMIN),
    ("POST", "/api/v1/settings/reload", ADMIN),
    ("POST", "/api/v1/pause", ADMIN),
    ("POST", "/api/v1/resume", ADMIN),
    ("GET", "/api/v1/downloads", MODELS),
    ("POST", "/api/v1/downloads/{id}/cancel", MODELS),
    ("POST", "/api/v1/downloads/{id}/pause", MODELS),
    ("POST", "/api/v1/downloads/{id}/resume", MODELS),
    ("GET", "/api/v1/jobs", Key),
    ("GET", "/api/v1/jobs/{id}", Key),
    ("DELETE", "/api/v1/jobs/{id}", Key),
    ("GET", "/api/v1/jobs/{id}/events", Key),
    // They tell of everybody's work.
    ("GET", "/api/v1/notifications", ADMIN),
    ("DELETE", "/api/v1/notifications/{id}", ADMIN),
    ("POST", "/api/v1/notifications/{id}/actions/{action}", ADMIN),
    ("GET", "/api/v1/llm/models", Key),
    ("POST", "/api/v1/llm/load", MODELS),
    ("POST", "/api/v1/llm/unload", MODELS),
    ("POST", "/api/v1/llm/chat", ASK),
    ("POST", "/api/v1/llm/completion", ASK),
    ("GET", "/api/v1/llm/stream", ASK),
    ("GET", "/api/v1/llm/history", ASK),
    ("GET", "/api/v1/llm/conversations", ASK),
    ("POST", "/api/v1/llm/conversations", ASK),
    ("GET", "/api/v1/llm/conversations/{id}", ASK),
    ("PATCH", "/api/v1/llm/conversations/{id}", ASK),
    ("DELETE", "/api/v1/llm/conversations/{id}", ASK),
    ("POST", "/api/v1/llm/conversations/{id}/messages", ASK),
    ("GET", "/api/v1/models", Key),
    ("GET", "/api/v1/models/{name}", Key),
    ("DELETE", "/api/v1/models/{name}", MODELS),
    ("POST", "/api/v1/models/estimate", MODELS),
    ("POST", "/api/v1/models/import", ADMIN),
    ("POST", "/api/v1/models/pull", MODELS),
    ("POST", "/api/v1/models/quantize", MODELS),
    ("POST", "/api/v1/models/verify", MODELS),
    // OpenAI's.
    ("GET", "/v1/models", Key),
    ("GET", "/v1/models/{id}", Key),
    ("POST", "/v1/chat/completions", ASK),
    ("POST", "/v1/completions", ASK),
    ("POST", "/v1/embeddings", ASK),
    ("POST", "/v1/tokenize", ASK),
    ("POST", "/v1/detokenize", ASK),
    ("POST", "/v1/responses", ASK),
    ("GET", "/v1/responses/{id}", ASK),
    ("DELETE", "/v1/responses/{id}", ASK),
    ("POST", "/v1/responses/{id}/cancel", ASK),
    ("GET", "/v1/responses/{id}/input_items", ASK),
    // Anthropic's.
    ("POST", "/v1/messages", ASK),
    ("POST", "/v1/messages/count_tokens", ASK),
    // Ollama's.
    ("GET", "/api/version", Nothing),
    ("GET", "/api/tags", Key),
    ("GET", "/api/ps", Key),
    ("POST", "/api/show", Key),
    ("POST", "/api/generate", ASK),
    ("POST", "/api/chat", ASK),
    ("POST", "/api/embed", ASK),
    ("POST", "/api/embeddings", ASK),
    ("POST", "/api/pull", MODELS),
    ("POST", "/api/push", MODELS),
    ("POST", "/api/copy", MODELS),
    ("POST", "/api/create", MODELS),
    ("DELETE", "/api/delete", MODELS),
    ("GET", "/api/blobs/{digest}", MODELS),
    ("POST", "/api/blobs/{digest}", MODELS),
    ("POST", "/api/web_search", Key),
    ("POST", "/api/web_fetch", Key),
    ("POST", "/api/me", Key),
    ("POST", "/api/signout", Key),
];

/// What a request needs. A route that is not in the table is for those who have all rights; that
/// there is none at a path may be known to whoever has a key.
pub(super) fn need(method: &Method, pattern: Option<&str>) -> Need {
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let Some(pattern) = pattern else {
        return Key;
    };
    // A place that takes the rest of the path is written there as any other.
    let pattern = &*pattern.replace("{*", "{");
    let fits = |path: &str, pattern: &str| match path.strip_suffix('*') {
        Some(beginning) => pattern.starts_with(beginning),
        None => path == pattern,
    };
    let row = TABLE
        .iter()
        .find(|(row_method, path, _)| *row_method == method && fits(path, pattern));
    row.map_or(ADMIN, |(_, _, need)| *need)
}

/// Whether a person may come to a page by a link from elsewhere.
pub(super) fn is_page(pattern: Option<&str>) -> bool {
    pattern.is_some_and(|pattern| pattern == "/" || pattern == "/docs" || pattern.starts_with("/docs/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::routes;

    /// Every route of the description, as the table writes it.
    fn described() -> Vec<(String, String)> {
        let (_, document) = routes();
        let paths = document["paths"].as_object().unwrap();
        let methods = ["get", "post", "put", "patch", "delete"];
        paths
            .iter()
            .flat_map(|(path, item)| {
                let has = |method: &&str| item.get(*method).is_some();
                methods
                    .into_iter()
                    .filter(has)
                    .map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect()
    }

    #[test]
    fn every_route_says_what_it_needs() {
        let missing: Vec<_> = described()
            .into_iter()
            .filter(|(method, path)| !TABLE.iter().any(|row| row.0 == method && row.1 == path))
            .collect();
        assert!(
            missing.is_empty(),
            "these routes have no row in the table: {missing:#?}"
        );
    }

    #[test]
    fn no_route_is_there_twice() {
        for (index, row) in TABLE.iter().enumerate() {
            let same = |other: &&(&str, &str, Need)| (other.0, other.1) == (row.0, row.1);
            assert!(TABLE[..index].iter().all(|other| !same(&other)), "{row:?}");
        }
    }

    #[test]
    fn what_changes_something_is_never_public_and_what_is_unknown_is_for_the_owner() {
        for row in TABLE.iter().filter(|row| row.2 == Nothing) {
            assert_eq!(row.0, "GET", "{row:?}");
        }
        assert_eq!(need(&Method::HEAD, Some("/health")), Nothing);
        assert_eq!(need(&Method::GET, Some("/api/v1/models/{*name}")), Key);
        assert_eq!(need(&Method::POST, Some("/health")), ADMIN);
        assert_eq!(need(&Method::GET, Some("/docs/viewer.js")), Nothing);
        assert_eq!(need(&Method::GET, Some("/docsx")), ADMIN);
        assert_eq!(need(&Method::GET, Some("/nothing")), ADMIN);
        assert_eq!(need(&Method::GET, None), Key);
    }
}
