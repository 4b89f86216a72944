//! Functions that may be called.

use airunner_core::Fault;
use airunner_core::chat::Tool;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

pub(super) use airunner_core::generate::ToolChoice as Choice;

use crate::http::openai::refusal::{unsupported, wrong};

/// Functions one request may have.
const MAX_TOOLS: usize = 256;
/// Characters of the name of a function.
const MAX_NAME: usize = 64;

/// A function the model may call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ChatTool {
    /// Only `function` can be had.
    r#type: String,
    function: Option<FunctionDefinition>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct FunctionDefinition {
    /// Letters, digits, `_`, `-` and `.`, at most 64.
    pub(in crate::http::openai) name: String,
    pub(in crate::http::openai) description: Option<String>,
    /// JSON schema of the arguments; left out: there are none.
    #[schema(value_type = Option<Object>)]
    pub(in crate::http::openai) parameters: Option<Value>,
    /// Calls always follow the schema.
    pub(in crate::http::openai) strict: Option<bool>,
}

/// `none`, `auto`, `required`, or which function.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected \"none\", \"auto\", \"required\" or an object that names a function"
)]
pub(in crate::http) enum ToolChoiceField {
    Mode(String),
    Named(NamedTool),
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct NamedTool {
    r#type: String,
    function: Option<NamedFunction>,
    allowed_tools: Option<AllowedTools>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct NamedFunction {
    pub(super) name: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct AllowedTools {
    /// `auto` or `required`.
    mode: String,
    tools: Vec<AllowedTool>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct AllowedTool {
    function: NamedFunction,
}

/// What may be called and whether it must.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::http::openai) struct Tools {
    pub(in crate::http::openai) tools: Vec<Tool>,
    pub(in crate::http::openai) choice: Choice,
}

impl Tools {
    pub(super) fn read(tools: Vec<ChatTool>, choice: Option<ToolChoiceField>) -> Result<Self, Fault> {
        let tools = functions(tools)?;
        let Some(choice) = choice else {
            return Ok(Self {
                tools,
                choice: Choice::Auto,
            });
        };
        match choice {
            ToolChoiceField::Mode(mode) => Ok(Self {
                choice: mode_of(&mode)?,
                tools,
            }),
            ToolChoiceField::Named(named) => named.among(tools),
        }
    }

    /// The older form.
    pub(super) fn of_functions(
        functions: Vec<FunctionDefinition>,
        choice: Option<Choice>,
    ) -> Result<Self, Fault> {
        let named = functions.into_iter().enumerate();
        let tools = named.map(|(index, function)| function.tool(&format!("functions[{index}]")));
        Ok(Self {
            tools: bounded(tools.collect::<Result<_, _>>()?, "functions")?,
            choice: choice.unwrap_or_default(),
        })
    }

    /// Only those of these names, called as the mode says.
    pub(in crate::http::openai) fn allowed(
        mut tools: Vec<Tool>,
        names: &[String],
        mode: &str,
    ) -> Result<Self, Fault> {
        if let Some(name) = names
            .iter()
            .find(|name| !tools.iter().any(|tool| tool.name == **name))
        {
            let shown: String = name.chars().take(MAX_NAME).collect();
            return Err(wrong(
                "tool_choice",
                format!("tool_choice allows {shown:?}, which is not among the tools"),
            ));
        }
        tools.retain(|tool| names.contains(&tool.name));
        Ok(Self {
            tools,
            choice: mode_of(mode)?,
        })
    }
}

/// What a word for the choice means.
pub(in crate::http::openai) fn mode_of(mode: &str) -> Result<Choice, Fault> {
    match mode {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" => Ok(Choice::Required),
        _ => Err(wrong(
            "tool_choice",
            "tool_choice must be \"none\", \"auto\", \"required\" or name a function",
        )),
    }
}

impl NamedTool {
    fn among(self, tools: Vec<Tool>) -> Result<Tools, Fault> {
        match (self.r#type.as_str(), self.function, self.allowed_tools) {
            ("function", Some(function), _) => Ok(Tools {
                tools,
                choice: Choice::Function(function.name),
            }),
            ("allowed_tools", _, Some(allowed)) => {
                let names: Vec<String> = allowed.tools.into_iter().map(|tool| tool.function.name).collect();
                Tools::allowed(tools, &names, &allowed.mode)
            }
            _ => Err(wrong(
                "tool_choice",
                "tool_choice must be of type function and name one, or of type allowed_tools and list some",
            )),
        }
    }
}

fn functions(tools: Vec<ChatTool>) -> Result<Vec<Tool>, Fault> {
    let read = tools.into_iter().enumerate().map(|(index, tool)| {
        let place = format!("tools[{index}]");
        match (tool.r#type.as_str(), tool.function) {
            ("function", Some(function)) => function.tool(&format!("{place}.function")),
            ("function", None) => Err(wrong(
                format!("{place}.function"),
                format!("{place}.function is missing"),
            )),
            (other, _) => Err(not_a_function(other, &place)),
        }
    });
    bounded(read.collect::<Result<_, _>>()?, "tools")
}

pub(in crate::http::openai) fn not_a_function(kind: &str, place: &str) -> Fault {
    let shown: String = kind.chars().take(32).collect();
    unsupported(
        format!("{place}.type"),
        format!("{place} is of type {shown:?}: local models can call functions only"),
    )
}

pub(in crate::http::openai) fn bounded(tools: Vec<Tool>, param: &str) -> Result<Vec<Tool>, Fault> {
    if tools.len() > MAX_TOOLS {
        return Err(wrong(
            param,
            format!("{param} has {} entries: at most {MAX_TOOLS}", tools.len()),
        ));
    }
    Ok(tools)
}

impl FunctionDefinition {
    pub(in crate::http::openai) fn tool(self, place: &str) -> Result<Tool, Fault> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.chars().all(allowed) {
            return Err(wrong(
                format!("{place}.name"),
                format!("{place}.name must have 1 to {MAX_NAME} letters, digits, '_', '-' or '.'"),
            ));
        }
        let parameters = match self.parameters {
            None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
            Some(schema @ Value::Object(_)) => schema,
            Some(_) => {
                return Err(wrong(
                    format!("{place}.parameters"),
                    format!("{place}.parameters must be a JSON schema, which is an object"),
                ));
            }
        };
        Ok(Tool {
            name: self.name,
            description: self.description.unwrap_or_default(),
            parameters,
        })
    }
}
