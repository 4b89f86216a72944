//! What an answer is held to, and from where on.

use std::borrow::Cow;

use airunner_core::chat::Tool;
use llguidance::api::{GrammarWithLexer, ParserLimits, TopLevelGrammar};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::error::ConstraintError;
use super::masks::first_line;
use super::tools::Calls;
use crate::llm::text::{CallFormat, EosSet, Tokenizer};

/// Schemas nested deeper are refused before anything follows them.
const DEPTH_LIMIT: usize = 64;
/// White space between two parts of a JSON text, at most.
const WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,40}";
/// The same in the arguments of calls, which nobody looks at.
const LITTLE_SPACE: &str = r"[\x20\x0A]{1,4}";

/// What the constrained part of an answer may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Grammar {
    /// JSON that a schema allows.
    Json(Value),
    /// A text that an expression matches as a whole.
    Regex(String),
    /// Rules in llguidance's form of Lark, and the schemas they refer to by `@name`.
    Rules {
        rules: String,
        schemas: Vec<(String, Value)>,
    },
    /// Calls of tools, whose rules are written when they are compiled: within the same limits.
    Calls(Box<Calling>),
}

/// Calls that an answer may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calling {
    pub(crate) format: CallFormat,
    pub(crate) tools: Vec<Tool>,
    /// Several calls in one answer.
    pub(crate) parallel: bool,
    pub(crate) place: Place,
}

/// Where in an answer calls are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// Behind what begins one.
    BehindTrigger,
    /// There is nothing else.
    WholeAnswer,
    /// There is nothing else, or else what this schema allows.
    OrElse(Value),
}

impl Grammar {
    /// The same with the rules of calls written down.
    pub(super) fn written(
        &self,
        tokenizer: &Tokenizer,
        eos: &EosSet,
    ) -> Result<Cow<'_, Self>, ConstraintError> {
        let Self::Calls(calling) = self else {
            return Ok(Cow::Borrowed(self));
        };
        let calls = Calls {
            format: &calling.format,
            tools: &calling.tools,
            parallel: calling.parallel,
            tokenizer,
            eos,
        };
        let written = match &calling.place {
            Place::BehindTrigger => calls.behind_trigger(),
            Place::WholeAnswer => calls.whole_answer(),
            Place::OrElse(schema) => calls.or_else(schema),
        };
        written.map(Cow::Owned)
    }

    pub(super) fn check(&self) -> Result<(), ConstraintError> {
        let schemas: Vec<&Value> = match self {
            Self::Json(schema) => vec![schema],
            Self::Regex(_) => Vec::new(),
            Self::Rules { schemas, .. } => schemas.iter().map(|(_, schema)| schema).collect(),
            Self::Calls(calling) => calling.tools.iter().map(|tool| &tool.parameters).collect(),
        };
        if schemas.into_iter().any(|schema| !is_within(schema, DEPTH_LIMIT)) {
            return Err(ConstraintError::TooDeep { limit: DEPTH_LIMIT });
        }
        Ok(())
    }
}

/// From where on an answer is held to its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// From its first token.
    Now,
    /// From its first token, or from the end of the reasoning if it begins with this token.
    NowOrBehindReasoning { open: u32, close: String },
    /// From the end of the reasoning, in which the answer begins.
    BehindReasoning { close: String },
    /// From where these texts came in this order.
    Behind { marks: Vec<String>, is_required: bool },
    /// From its first letter, if it begins with one of these.
    With { heads: Vec<Head> },
}

/// A beginning that tells a call from a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// As a model writes it, but for white space.
    pub(crate) written: String,
    /// As the grammar has it.
    pub(crate) taken: String,
}

/// How one answer is held to a format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) grammar: Grammar,
    pub(crate) begin: Begin,
    /// Marks of reasoning in which nothing begins, where it begins behind marks or with a head; and
    /// whether the answer begins inside of it.
    pub(crate) reasoning: Option<(String, String, bool)>,
    /// Whether the same may begin again after it ended; else the answer ends with it.
    pub(crate) repeats: bool,
    /// What is there already of the constrained part.
    pub(crate) beginning: String,
}

impl Plan {
    pub(crate) const fn new(grammar: Grammar, begin: Begin) -> Self {
        Self {
            grammar,
            begin,
            reasoning: None,
            repeats: false,
            beginning: String::new(),
        }
    }
}

fn is_within(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(list) => list.iter().all(|value| is_within(value, below)),
        Value::Object(object) => object.values().all(|value| is_within(value, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// What a step of any grammar may cost: some milliseconds, and some megabytes in all.
pub(super) fn bound(limits: &mut ParserLimits) {
    limits.step_lexer_fuel = 150_000;
    limits.step_max_items = 50_000;
    limits.max_lexer_states = 30_000;
    limits.max_grammar_size = 200_000;
    limits.verbose_errors = false;
}

/// Compiles the plan's grammar and takes in the beginning that is there already.
pub(super) fn compile(
    factory: &ParserFactory,
    grammar: &Grammar,
    plan: &Plan,
) -> Result<Matcher, ConstraintError> {
    let refused = |error: &dyn std::fmt::Display| ConstraintError::Grammar(first_line(&error.to_string()));
    let parser = factory
        .create_parser(sources(grammar, plan)?)
        .map_err(|error| refused(&format!("{error:#}")))?;
    let mut matcher = Matcher::new(Ok(parser)).into_cancellable();
    for warning in matcher.grammar_warnings() {
        tracing::debug!(%warning, "a grammar has a warning");
    }
    if let Some(error) = matcher.get_error() {
        return Err(refused(&error));
    }
    if !plan.beginning.is_empty() {
        let tokens = factory.tok_env().tokenize(&plan.beginning);
        let taken = matcher.try_consume_tokens(&tokens);
        if taken.ok() != Some(tokens.len()) {
            return Err(ConstraintError::Beginning);
        }
    }
    Ok(matcher)
}

fn sources(grammar: &Grammar, plan: &Plan) -> Result<TopLevelGrammar, ConstraintError> {
    Ok(match grammar {
        Grammar::Json(schema) if plan.begin == Begin::Now => {
            TopLevelGrammar::from_json_schema(spaced(schema, false))
        }
        Grammar::Json(schema) => {
            // Behind its reasoning a model writes empty lines first.
            let rules = "start: LEAD? @answer\nLEAD: /[\\n ]{1,2}/\n";
            with_schemas(rules.to_owned(), [("answer".to_owned(), spaced(schema, false))])
        }
        Grammar::Regex(expression) => {
            let whole = expression.strip_prefix('^').unwrap_or(expression);
            let whole = match whole.strip_suffix('$') {
                Some(inner) if !inner.ends_with('\\') => inner,
                Some(_) | None => whole,
            };
            TopLevelGrammar::from_regex(&format!("(?:{whole})"))
        }
        Grammar::Rules { rules, schemas } => {
            let schemas = schemas
                .iter()
                .map(|(name, schema)| (name.clone(), spaced(schema, true)));
            with_schemas(rules.clone(), schemas)
        }
        Grammar::Calls(_) => {
            return Err(ConstraintError::Internal(
                "the rules of calls are not written".to_owned(),
            ));
        }
    })
}

fn with_schemas(rules: String, schemas: impl IntoIterator<Item = (String, Value)>) -> TopLevelGrammar {
    let named = schemas.into_iter().map(|(name, schema)| GrammarWithLexer {
        name: Some(name),
        ..GrammarWithLexer::from_json_schema(schema)
    });
    TopLevelGrammar {
        grammars: std::iter::once(GrammarWithLexer::from_lark(rules))
            .chain(named)
            .collect(),
        max_tokens: None,
    }
}

/// The schema with bounded white space, since a model may write it without end. `is_lenient`
/// passes over what cannot be enforced instead of refusing it.
fn spaced(schema: &Value, is_lenient: bool) -> Value {
    let mut object = match schema {
        Value::Object(object) => object.clone(),
        Value::Bool(true) => serde_json::Map::new(),
        other
        @ (Value::Null | Value::Bool(false) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return other.clone();
        }
    };
    let space = if is_lenient { LITTLE_SPACE } else { WHITE_SPACE };
    let options = json!({"whitespace_pattern": space, "lenient": is_lenient});
    object.insert("x-guidance".to_owned(), options);
    Value::Object(object)
}
