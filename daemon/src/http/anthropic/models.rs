//! The installed models as clients of Anthropic read them, who share `/v1/models` with those of
//! OpenAI.

use airunner_core::model::Model;
use airunner_core::{Fault, ModelName};
use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::api::Api;

/// What clients of Anthropic send with every request.
const MARK: &str = "anthropic-version";
/// Models of a page, if nobody says how many.
const USUAL: usize = 20;

/// Which part of the list.
#[derive(Debug, Default, Deserialize)]
pub(in crate::http) struct Page {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
}

#[derive(Serialize)]
struct ModelPage {
    data: Vec<ModelInfo>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

#[derive(Serialize)]
struct ModelInfo {
    r#type: &'static str,
    id: String,
    display_name: String,
    /// When it was installed.
    created_at: String,
    lifecycle: &'static str,
}

/// Whether the client wants Anthropic's form.
pub(in crate::http) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.contains_key(MARK)
}

pub(in crate::http) async fn page(api: &Api, page: Page) -> Result<Response, Fault> {
    let (names, has_more) = page.cut(api.models.list().into_iter().map(|model| model.name).collect())?;
    let mut data = Vec::with_capacity(names.len());
    for name in &names {
        match info(api, name).await {
            Ok(info) => data.push(info),
            Err(fault) => tracing::warn!(model = %name, %fault, "a model is left out of the list"),
        }
    }
    // Of the page as it was cut, so that the next begins behind it.
    let page = ModelPage {
        first_id: names.first().map(ToString::to_string),
        last_id: names.last().map(ToString::to_string),
        data,
        has_more,
    };
    Ok(Json(page).into_response())
}

pub(in crate::http) async fn one(api: &Api, model: &Model) -> Result<Response, Fault> {
    Ok(Json(info(api, &model.name).await?).into_response())
}

async fn info(api: &Api, name: &ModelName) -> Result<ModelInfo, Fault> {
    let installed_at = api.models.card(name).await?.installed_at;
    let created_at = jiff::Timestamp::try_from(installed_at).unwrap_or_default();
    Ok(ModelInfo {
        r#type: "model",
        id: name.to_string(),
        display_name: name.to_string(),
        created_at: created_at.to_string(),
        lifecycle: "active",
    })
}

impl Page {
    /// The names on this page, and whether more follow in the direction that was asked for.
    fn cut(&self, mut names: Vec<ModelName>) -> Result<(Vec<ModelName>, bool), Fault> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=1000).contains(&limit) {
            return Err(Fault::invalid("limit must be 1 to 1000").figure("param", "limit"));
        }
        names.sort();
        let place = |id: &String| names.iter().position(|name| name.as_str() == id);
        if let Some(before) = self.before_id.as_ref() {
            names.truncate(place(before).unwrap_or(0));
            let surplus = names.len().saturating_sub(limit);
            names.drain(..surplus);
            return Ok((names, surplus > 0));
        }
        if let Some(after) = self.after_id.as_ref() {
            let begin = place(after).map_or(names.len(), |place| place + 1);
            names.drain(..begin);
        }
        let has_more = names.len() > limit;
        names.truncate(limit);
        Ok((names, has_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_forwards_and_backwards() {
        let names = || -> Vec<ModelName> {
            let names = ["d", "a", "c", "b"].into_iter();
            names.map(|name| ModelName::new(name).unwrap()).collect()
        };
        let cut = |limit: Option<usize>, after: Option<&str>, before: Option<&str>| {
            let page = Page {
                limit,
                after_id: after.map(str::to_owned),
                before_id: before.map(str::to_owned),
            };
            let (names, more) = page.cut(names()).unwrap();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            (names.concat(), more)
        };
        assert_eq!(cut(None, None, None), ("abcd".to_owned(), false));
        assert_eq!(cut(Some(2), None, None), ("ab".to_owned(), true));
        assert_eq!(cut(Some(2), Some("b"), None), ("cd".to_owned(), false));
        assert_eq!(cut(Some(2), None, Some("d")), ("bc".to_owned(), true));
        assert_eq!(cut(Some(2), Some("z"), None), (String::new(), false));
        assert!(
            Page {
                limit: Some(0),
                ..Page::default()
            }
            .cut(names())
            .is_err()
        );
    }
}
