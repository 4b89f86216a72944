//! Chat templates: a conversation to the text its model was trained on.
//!
//! A template is a program from the internet. It runs with a budget of steps and memory, without
//! files, other templates, clock or environment, and renders what Hugging Face transformers would
//! render: the same settings, variables, functions and JSON.

mod budget;
mod context;
mod error;
mod functions;
mod identifiers;
mod json;
mod methods;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use airunner_core::chat::Conversation;
use jiff::Zoned;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};

pub use error::TemplateError;

use super::config::SpecialTokens;
use super::guard::Guard;
use context::Shape;

const NAME: &str = "chat_template";
/// The longest published templates have about 20 kB.
const SOURCE_LIMIT: usize = 256 << 10;

/// The longest a rendering may take. The budget ends it long before, but for a few operations on
/// lists that cost the engine more than it counts.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A compiled chat template.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Arc<SpecialTokens>,
    /// The template asks whether a content is none.
    content_may_be_none: bool,
    guard: Guard,
}

impl ChatTemplate {
    pub fn compile(source: &str, special_tokens: &SpecialTokens) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_LIMIT {
            return Err(TemplateError::TooLarge {
                bytes: source.len(),
                limit: SOURCE_LIMIT,
            });
        }
        let source = source::without_generation_tags(source);
        let content_may_be_none = source::asks_for_no_content(&source);
        let guard = Guard::new("chat-template", TIME_LIMIT);
        let compiled = guard.run(budget::stack_for_source(source.len()), || environment(source));
        let environment = compiled.map_err(TemplateError::interrupted)??;
        Ok(Self {
            environment,
            special_tokens: Arc::new(special_tokens.clone()),
            content_may_be_none,
            guard,
        })
    }

    /// The conversation as text; with the beginning of the assistant's next turn if
    /// `add_generation_prompt`. `now` is what `strftime_now` tells.
    pub fn render(
        &self,
        conversation: &Conversation,
        add_generation_prompt: bool,
        now: &Zoned,
    ) -> Result<String, TemplateError> {
        let shape = Shape {
            content_may_be_none: self.content_may_be_none,
            arguments_as_text: false,
        };
        let rendered = self.render_shaped(conversation, shape, add_generation_prompt, now);
        let has_calls = conversation
            .messages
            .iter()
            .any(|turn| !turn.tool_calls.is_empty());
        let as_text = Shape {
            arguments_as_text: true,
            ..shape
        };
        let again = match &rendered {
            // Some templates put the arguments of earlier calls together with text.
            Err(TemplateError::Failed(_)) if has_calls => {
                self.render_shaped(conversation, as_text, add_generation_prompt, now)
            }
            // Others accept ids of calls in one form only.
            Err(TemplateError::Refused(_)) => {
                let Some(renamed) = identifiers::renamed(conversation) else {
                    return rendered;
                };
                match self.render_shaped(&renamed, shape, add_generation_prompt, now) {
                    Err(TemplateError::Failed(_)) => {
                        self.render_shaped(&renamed, as_text, add_generation_prompt, now)
                    }
                    again => again,
                }
            }
            Ok(_) | Err(_) => return rendered,
        };
        again.or(rendered)
    }

    fn render_shaped(
        &self,
        conversation: &Conversation,
        shape: Shape,
        add_generation_prompt: bool,
        now: &Zoned,
    ) -> Result<String, TemplateError> {
        let mut context = context::special(&self.special_tokens);
        context.extend(context::conversation(conversation, shape));
        context.push((
            "add_generation_prompt".to_owned(),
            Value::from(add_generation_prompt),
        ));
        context.extend(context::variables(&conversation.template_variables));
        self.render_context(context, now)
    }

    /// Renders with exactly these variables, as a JSON object.
    pub fn render_variables(
        &self,
        variables: &serde_json::Map<String, serde_json::Value>,
        now: &Zoned,
    ) -> Result<String, TemplateError> {
        self.render_context(context::variables(variables).collect(), now)
    }

    fn render_context(
        &self,
        mut context: Vec<(String, Value)>,
        now: &Zoned,
    ) -> Result<String, TemplateError> {
        let fuel = budget::fuel(&context);
        let (mut environment, now) = (self.environment.clone(), functions::strftime_now(now));
        let rendered = self.guard.run(budget::stack_for_fuel(fuel), move || {
            environment.set_fuel(Some(fuel));
            context.push(("strftime_now".to_owned(), now));
            let template = environment.get_template(NAME).map_err(TemplateError::Syntax)?;
            template
                .render(Value::from_pairs(context))
                .map_err(TemplateError::from_rendering)
        });
        rendered.map_err(TemplateError::interrupted)?
    }
}

/// The engine with the compiled template, set as transformers sets its own.
fn environment(source: String) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.map_err(TemplateError::Syntax)?);
    environment.set_recursion_limit(budget::RECURSION_LIMIT);
    environment.set_unknown_method_callback(methods::call);
    environment.add_filter("tojson", json::tojson);
    environment.add_function("raise_exception", functions::raise_exception);
    environment.remove_global("debug");
    // An error would carry the variables it saw, as deep as they are, out of their stack.
    environment.set_debug(false);
    environment
        .add_template_owned(NAME, source)
        .map_err(TemplateError::Syntax)?;
    Ok(environment)
}
