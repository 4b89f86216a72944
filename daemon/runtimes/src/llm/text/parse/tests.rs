//! Answers of each format, in pieces of every size.

use airunner_core::generate::ToolCallDelta;
use proptest::prelude::*;

use super::*;

/// What an answer came to, whatever the pieces.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    text: String,
    reasoning: String,
    /// Name and arguments.
    calls: Vec<(String, String)>,
}

impl Whole {
    fn add(&mut self, piece: Parsed) {
        match piece {
            Parsed::Text(text) => self.text.push_str(&text),
            Parsed::Reasoning(text) => self.reasoning.push_str(&text),
            Parsed::Call(ToolCallDelta {
                index,
                id,
                name,
                arguments,
            }) => {
                if let Some(name) = name {
                    assert_eq!(index as usize, self.calls.len());
                    assert!(id.is_some_and(|id| !id.is_empty()));
                    self.calls.push((name, arguments));
                } else {
                    let call = self.calls.last_mut().unwrap();
                    call.1.push_str(&arguments);
                }
            }
        }
    }
}

const QWEN: &str = "<tool_call> <think> tools";
const MISTRAL: &str = "[TOOL_CALLS]";
const LLAMA: &str = "\"parameters\": dictionary <|python_tag|>";

fn parser(template: &str, opened: bool) -> OutputParser {
    let format = OutputFormat::detect(template, |_| false);
    OutputParser::new(
        format,
        opened,
        vec!["add".to_owned(), "get_weather".to_owned()],
        1,
    )
}

fn parse_pieces(mut parser: OutputParser, pieces: &[&str]) -> Whole {
    let mut whole = Whole::default();
    for piece in pieces {
        parser
            .push(piece)
            .into_iter()
            .for_each(|parsed| whole.add(parsed));
    }
    parser.finish().into_iter().for_each(|parsed| whole.add(parsed));
    assert_eq!(parser.calls_made() as usize, whole.calls.len());
    // However the model spaced them.
    for (_, arguments) in &mut whole.calls {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(arguments) {
            *arguments = value.to_string();
        }
    }
    whole
}

/// All at once and character by character must come to the same.
fn parse(template: &str, opened: bool, answer: &str) -> Whole {
    let whole = parse_pieces(parser(template, opened), &[answer]);
    let characters: Vec<&str> = answer.split_inclusive(|_: char| true).collect();
    assert_eq!(
        parse_pieces(parser(template, opened), &characters),
        whole,
        "{answer:?}"
    );
    whole
}

fn text(text: &str) -> Whole {
    Whole {
        text: text.to_owned(),
        ..Whole::default()
    }
}

fn called(text: &str, calls: &[(&str, &str)]) -> Whole {
    let own = |(name, arguments): &(&str, &str)| ((*name).to_owned(), (*arguments).to_owned());
    Whole {
        text: text.to_owned(),
        calls: calls.iter().map(own).collect(),
        ..Whole::default()
    }
}

fn thought(reasoning: &str, rest: Whole) -> Whole {
    Whole {
        reasoning: reasoning.to_owned(),
        ..rest
    }
}

#[test]
fn reasoning_is_told_from_the_answer() {
    let hm = "They ask why.\n\nSo: because.";
    for (opened, answer, expected) in [
        (
            false,
            "<think>\nThey ask why.\n\nSo: because.\n</think>\n\nBecause.",
            thought(hm, text("Because.")),
        ),
        (
            true,
            "They ask why.\n\nSo: because.\n</think>\n\nBecause.",
            thought(hm, text("Because.")),
        ),
        (
            false,
            "\n<think>They ask why.\n\nSo: because.</think>Because. ",
            thought(hm, text("Because. ")),
        ),
        (false, "<think>\n\n</think>\n\nYes", text("Yes")),
        (true, "\n\n</think>\n\n", text("")),
        (true, "They ask why.\n\nSo: because.", thought(hm, text(""))),
        (
            true,
            "They ask why.\n\nSo: because.</thi",
            thought(&(hm.to_owned() + "</thi"), text("")),
        ),
        (
            false,
            "  A <think>tag</think> in the text",
            text("  A <think>tag</think> in the text"),
        ),
        (false, "<thin", text("<thin")),
        (false, "<thinner> than", text("<thinner> than")),
        (false, " \n", text(" \n")),
        (false, "", text("")),
    ] {
        assert_eq!(parse(QWEN, opened, answer), expected, "{answer:?}");
    }
}

#[test]
fn tagged_calls_are_found() {
    let call =
        "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"b\": 1.5, \"a\": \"}</x>\"}}\n</tool_call>";
    let add = ("add", "{\"b\":1.5,\"a\":\"}</x>\"}");
    for (answer, expected) in [
        (call.to_owned(), called("", &[add])),
        (format!("Let me see. {call}"), called("Let me see. ", &[add])),
        (format!("{call}\n{call}\n"), called("", &[add, add])),
        (
            format!("<think>\nHm.\n</think>\n\n{call}"),
            thought("Hm.", called("", &[add])),
        ),
        (format!("{call} Done."), called("Done.", &[add])),
        (call.replace("</tool_call>", ""), called("", &[add])),
        (
            "<tool_call>{\"name\": \"f\"}</tool_call>".to_owned(),
            called("", &[("f", "{}")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}</tool_call>".to_owned(),
            called("", &[("f", "{\"x\":1}")]),
        ),
    ] {
        assert_eq!(parse(QWEN, false, &answer), expected, "{answer:?}");
    }
}

#[test]
fn what_is_no_call_is_text_and_complete() {
    for (template, answer) in [
        (QWEN, "<tool_call>not json</tool_call> and more"),
        (QWEN, "<tool_call>{\"name\": 5}</tool_call>"),
        (
            QWEN,
            "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
        ),
        (QWEN, "<tool_call>{\"name\": \"f\""),
        (QWEN, "a <tool_cal"),
        (QWEN, "<tool_call>"),
        (MISTRAL, "[TOOL_CALLS] nothing here"),
        (MISTRAL, "[TOOL_CALLS][]"),
        (MISTRAL, "[TOOL_CALLS][{\"name\": \"f\""),
        (MISTRAL, "[TOOL_CALL"),
        (LLAMA, "{\"name\": \"unknown\", \"parameters\": {}}"),
        (LLAMA, "{\"just\": \"JSON\"} and text"),
        (LLAMA, "{ braces } in text { and more }"),
        (LLAMA, "{\"name\": \"add\", \"parameters\": {"),
        (LLAMA, " text {\"name\": \"add\", \"parameters\": {}}"),
        (LLAMA, "<|python_tag|>print(1)"),
    ] {
        assert_eq!(parse(template, false, answer), text(answer), "{answer:?}");
    }
}

#[test]
fn lists_and_bare_calls_are_found() {
    let add = ("add", "{\"a\":1}");
    for (template, answer, expected) in [
        (
            MISTRAL,
            "[TOOL_CALLS] [{\"name\": \"add\", \"arguments\": {\"a\": 1}, \"id\": \"123456789\"}, \
             {\"name\": \"add\", \"arguments\": {\"a\": 1}}]",
            called("", &[add, add]),
        ),
        (
            MISTRAL,
            "Hm.[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 1}}]",
            called("Hm.", &[add]),
        ),
        (
            LLAMA,
            "{\"name\": \"add\", \"parameters\": {\"a\": 1}}",
            called("", &[add]),
        ),
        (
            LLAMA,
            "\n{\"type\": \"function\", \"name\": \"add\", \"parameters\": {\"a\": 1}}",
            called("", &[add]),
        ),
        (
            LLAMA,
            "{\"name\": \"add\", \"parameters\": {\"a\": 1}}; {\"name\": \"add\", \"parameters\": {\"a\": 1}}",
            called("", &[add, add]),
        ),
        (
            LLAMA,
            "<|python_tag|>{\"name\": \"add\", \"parameters\": {\"a\": 1}}",
            called("", &[add]),
        ),
        (LLAMA, "The sum is 2.", text("The sum is 2.")),
    ] {
        assert_eq!(parse(template, false, answer), expected, "{answer:?}");
    }
}

const CODER: &str = "<tool_call> <function=";
const MISTRAL_NAMED: &str = "[TOOL_CALLS] [ARGS]";
const HARMONY: &str = "<|channel|> <|message|>";
const DEEPSEEK: &str = "<｜tool▁call▁begin｜> ```json";
const KIMI: &str = "<|tool_call_begin|>";
const LFM: &str = "<|tool_call_start|>";
const OLMO: &str = "<function_calls>";
const LLAMA4: &str = "<|python_start|>";
const PHI: &str = "<|tool_call|> <|/tool_call|>";
const FUNCTOOLS: &str = "functools[";
const COMMAND: &str = "<|START_ACTION|>";
const TEMPLATES: [&str; 15] = [
    QWEN,
    MISTRAL,
    LLAMA,
    CODER,
    MISTRAL_NAMED,
    HARMONY,
    DEEPSEEK,
    KIMI,
    LFM,
    OLMO,
    LLAMA4,
    PHI,
    FUNCTOOLS,
    COMMAND,
    "",
];

#[test]
fn every_family_is_understood() {
    let add = ("add", "{\"a\":1}");
    let cases = [
        (
            CODER,
            "Hm.<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
            "Hm.",
            1,
        ),
        (
            MISTRAL_NAMED,
            "[TOOL_CALLS]add[ARGS]{\"a\": 1}[TOOL_CALLS]add[CALL_ID]x1[ARGS]{\"a\": 1}",
            "",
            2,
        ),
        (
            MISTRAL_NAMED,
            "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 1}}]",
            "",
            1,
        ),
        (
            DEEPSEEK,
            "Yes<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>",
            "Yes",
            1,
        ),
        (
            DEEPSEEK,
            "<｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜>",
            "",
            1,
        ),
        (
            KIMI,
            "<|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|>",
            "",
            1,
        ),
        (
            LFM,
            "<|tool_call_start|>[add(a=1), add(a=1)]<|tool_call_end|>Done",
            "Done",
            2,
        ),
        (OLMO, "<function_calls>add(a=1)\nadd(a=1)</function_calls>", "", 2),
        (LLAMA4, "[add(a=1)]", "", 1),
        (LLAMA4, "[1] is a list", "[1] is a list", 0),
        (
            PHI,
            "<|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]<|/tool_call|>",
            "",
            1,
        ),
        (
            FUNCTOOLS,
            "functools[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]",
            "",
            1,
        ),
        (
            COMMAND,
            "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"add\", \"parameters\": {\"a\": 1}}]<|END_ACTION|>",
            "",
            1,
        ),
    ];
    for (template, answer, text, count) in cases {
        assert_eq!(
            parse(template, false, answer),
            called(text, &vec![add; count]),
            "{answer:?}"
        );
    }
}

#[test]
fn unquoted_text_stays_text() {
    let tool = airunner_core::chat::Tool {
        name: "add".to_owned(),
        description: String::new(),
        parameters: serde_json::json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}),
    };
    let parser = parser(CODER, false).typed(&[tool]);
    let answer = "<tool_call>\n<function=add>\n<parameter=a>\n12\n</parameter>\n<parameter=b>\n12\n</parameter>\n\
                  </function>\n</tool_call>";
    assert_eq!(
        parse_pieces(parser, &[answer]),
        called("", &[("add", "{\"a\":\"12\",\"b\":12}")])
    );
}

#[test]
fn arguments_leave_as_they_come() {
    let mut parser = parser(QWEN, false).single(true);
    let mut deltas = Vec::new();
    for piece in [
        "<tool_call>\n{\"name\": \"add\", \"argu",
        "ments\": {\"a\"",
        ": [1, \"}",
        "\"]}",
        "}\n</tool_call>",
    ] {
        assert!(!parser.is_over());
        for parsed in parser.push(piece) {
            let Parsed::Call(delta) = parsed else {
                panic!("{parsed:?}")
            };
            deltas.push((delta.index, delta.name.is_some(), delta.arguments));
        }
    }
    assert!(parser.finish().is_empty() && parser.is_over());
    let expected = [
        (true, ""),
        (false, "{\"a\""),
        (false, ": [1, \"}"),
        (false, "\"]}"),
    ];
    assert_eq!(deltas, expected.map(|(named, text)| (0, named, text.to_owned())));
}

#[test]
fn channels_are_told_apart() {
    let add = ("add", "{\"a\":1}");
    let analysis = "<|channel|>analysis<|message|>Hm.<|end|>";
    for (answer, expected) in [
        (
            format!("{analysis}<|start|>assistant<|channel|>final<|message|>Yes"),
            thought("Hm.", text("Yes")),
        ),
        (
            format!(
                "{analysis}<|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>{{\"a\": 1}}"
            ),
            thought("Hm.", called("", &[add])),
        ),
        (
            " to=functions.add<|channel|>commentary json<|message|>{\"a\": 1}".to_owned(),
            called("", &[add]),
        ),
        (
            "<|channel|>commentary<|message|>First this.<|end|>".to_owned(),
            text("First this."),
        ),
        ("No channel at all".to_owned(), text("No channel at all")),
        ("<|channel|>fin".to_owned(), text("")),
        (
            "<|channel|>analysis<|message|>Hm.".to_owned(),
            thought("Hm.", text("")),
        ),
    ] {
        assert_eq!(parse(HARMONY, false, &answer), expected, "{answer:?}");
    }
}

#[test]
fn without_tools_or_for_raw_prompts_everything_is_text() {
    let answer = "<think>a</think> <tool_call>{\"name\": \"add\"}</tool_call>";
    assert_eq!(parse_pieces(OutputParser::plain(), &[answer]), text(answer));
    let format = OutputFormat::detect(QWEN, |_| false);
    let no_tools = OutputParser::new(format, false, Vec::new(), 0);
    let call = "{\"name\": \"add\"} <tool_call>{\"name\": \"add\"}</tool_call>";
    assert_eq!(parse_pieces(no_tools, &[call]), text(call));
}

#[test]
fn text_is_shown_as_it_comes() {
    let mut parser = parser(QWEN, false);
    assert_eq!(parser.push("Hello"), [Parsed::Text("Hello".to_owned())]);
    assert_eq!(parser.push(" a < b <to"), [Parsed::Text(" a < b ".to_owned())]);
    assert_eq!(parser.push("n>"), [Parsed::Text("<ton>".to_owned())]);
    let mut opened = self::parser(QWEN, true);
    assert_eq!(opened.push("\nHm, "), [Parsed::Reasoning("Hm,".to_owned())]);
    assert_eq!(opened.push("so"), [Parsed::Reasoning(" so".to_owned())]);
}

#[test]
fn ids_differ_and_are_short_enough_for_the_strictest_template() {
    let ids = |seed| {
        let mut parser = OutputParser::new(
            OutputFormat::detect(MISTRAL, |_| false),
            false,
            vec!["f".into()],
            seed,
        );
        let pieces = parser.push("[TOOL_CALLS][{\"name\": \"f\"}, {\"name\": \"f\"}]");
        let id = |piece| {
            if let Parsed::Call(call) = piece {
                call.id
            } else {
                None
            }
        };
        pieces.into_iter().filter_map(id).collect::<Vec<String>>()
    };
    let (first, second) = (ids(1), ids(2));
    assert!(first.len() == 2 && first[0] != first[1] && first[0] != second[0]);
    assert!(
        first
            .iter()
            .all(|id| id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()))
    );
}

#[test]
fn formats_are_read_from_template_and_vocabulary() {
    let none = |_: &str| false;
    assert_eq!(OutputFormat::detect("plain", none), OutputFormat::default());
    let by_vocabulary = |word: &str| ["<tool_call>", "<think>"].contains(&word);
    let found = OutputFormat::detect("{{ tools }}", by_vocabulary);
    assert_eq!(found, OutputFormat::detect(QWEN, none));
    assert!(found.is_opened_by("<|assistant|>\n<think>\n") && !found.is_opened_by("<think></think>\n"));
    assert_eq!(found.marks(false).collect::<Vec<_>>(), ["<think>", "</think>"]);
    assert_eq!(
        OutputFormat::detect("", by_vocabulary).marks(true).count(),
        2,
        "no tools, no calls"
    );
}

proptest! {
    /// Whatever a model writes and however it is cut: no panic, the same result, nothing lost
    /// where nothing is a mark.
    #[test]
    fn cuts_make_no_difference(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "{", "}",
            "{\"name\": \"add\", \"arguments\": {\"a\": [1]}}", "[{\"name\": \"add\"}]", "text", " ", "\n", ";", "<", "é",
            "<|channel|>", "<|message|>", "<|end|>", "<|start|>assistant", "analysis", " to=functions.add", "[ARGS]", "add",
            "[add(a=1)]", "<|tool_call_start|>", "<|tool_call_end|>", "<function=add>", "</function>", "<parameter=a>",
            "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<|tool_call|>", "<function_calls>", "functools",
        ]), 0..12),
        cuts in prop::collection::vec(1..9_usize, 1..40),
        opened: bool,
        template in prop::sample::select(TEMPLATES.to_vec()),
    ) {
        let answer = parts.concat();
        let characters: Vec<char> = answer.chars().collect();
        let mut pieces = Vec::new();
        let mut rest = characters.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece.iter().collect::<String>());
            rest = after;
        }
        let whole = parse_pieces(parser(template, opened), &[answer.as_str()]);
        let cut = parse_pieces(parser(template, opened), &pieces.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(&cut, &whole);
        if template.is_empty() {
            prop_assert_eq!(whole.text, answer);
        }
    }
}

#[test]
fn what_may_be_text_is_text_unless_it_is_something_else_that_it_may_be() {
    let tool = airunner_core::chat::Tool {
        name: "add".to_owned(),
        description: String::new(),
        parameters: serde_json::json!({
            "properties": {
                "a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "b": {"type": ["string", "integer"]},
                "c": {"$ref": "#/$defs/Size"},
            },
            "$defs": {"Size": {"enum": ["1.50", "2"]}},
        }),
    };
    for (a, b, c, expected) in [
        ("123", "123", "1.50", r#"{"a":"123","b":123,"c":"1.50"}"#),
        ("null", "null", "2", r#"{"a":null,"b":"null","c":"2"}"#),
        ("{ }", "x", "2", r#"{"a":"{ }","b":"x","c":"2"}"#),
    ] {
        let parser = parser(CODER, false).typed(std::slice::from_ref(&tool));
        let answer = format!(
            "<tool_call>\n<function=add>\n<parameter=a>\n{a}\n</parameter>\n<parameter=b>\n{b}\n</parameter>\n\
             <parameter=c>\n{c}\n</parameter>\n</function>\n</tool_call>"
        );
        assert_eq!(parse_pieces(parser, &[&answer]), called("", &[("add", expected)]));
    }
}

#[test]
fn only_functions_that_may_be_called_are_called_in_channels() {
    let unknown = "<|channel|>commentary to=functions.rm <|constrain|>json<|message|>{}<|call|>";
    assert_eq!(parse(HARMONY, false, unknown), text("{}"));

    let call = "<|channel|>commentary to=functions.add <|constrain|>json<|message|>{\"a\": 1}";
    let both = format!("{call}<|end|><|start|>assistant{call}");
    let several = parse_pieces(parser(HARMONY, false), &[&both]);
    let first = parse_pieces(parser(HARMONY, false).single(true), &[&both]);
    assert_eq!((several.calls.len(), first.calls.len()), (2, 1));

    let mut single = parser(HARMONY, false).single(true);
    let _ = single.push(call);
    assert!(!single.is_over(), "its arguments may go on");
    let _ = single.push("<|end|>");
    assert!(single.is_over());
}
