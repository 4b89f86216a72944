use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::arguments::Cli;
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell. For bash: airunner completions bash > ~/.local/share/bash-completion/completions/airunner
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "airunner", &mut script);
        let script = String::from_utf8(script).map_err(Failure::internal)?;
        if context.output.is_json() {
            return context
                .output
                .value(&json!({ "shell": self.shell.to_string(), "script": script }));
        }
        context.output.answer(&script)
    }
}
