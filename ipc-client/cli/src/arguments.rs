//! What can be written on the command line.

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, cancel, chat, completions, doctor, downloads, free, hardware, keys, load, logs, man, memory,
    models, notify, pause, ps, restart, resume, service, settings, start, stats, status, stop, unload,
};

/// Run AI models on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "airunner",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 the daemon is not running.")]
pub(crate) struct Cli {
    /// Answer with JSON on standard output, errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the daemon in the background.
    Start(start::Start),
    /// Stop the daemon and unload every model.
    Stop(stop::Stop),
    /// Stop the daemon if it runs, and start it.
    Restart(restart::Restart),
    /// Show the daemon and what it has in memory.
    Status(status::Status),
    /// Let the system start the daemon: install, remove or show the service.
    Service(service::Service),
    /// Find, pull, list, copy, check and remove models.
    Models(models::Models),
    /// Load a model into memory.
    Load(load::Load),
    /// Take a model out of memory.
    Unload(unload::Unload),
    /// List the models in memory, and those that are waited for.
    Ps(ps::Ps),
    /// Show who has how much memory, or change how much models may have.
    Memory(memory::Memory),
    /// Give memory back: unload every model that is idle.
    Free(free::Free),
    /// Unload everything, and load and run nothing until it is resumed.
    Pause(pause::Pause),
    /// End a pause.
    Resume(resume::Resume),
    /// Give up an import, a check or a quantization that is under way.
    Cancel(cancel::Cancel),
    /// Show the processor, the memory and the GPUs of this machine.
    Hardware(hardware::Hardware),
    /// List downloads; pause, resume or cancel one.
    Downloads(downloads::Downloads),
    /// Print the token of the HTTP API; make, list and revoke keys for it.
    Keys(keys::Keys),
    /// Show, answer and test what you are told on the screen.
    Notify(notify::Notify),
    /// List settings; change them, at once where that is possible.
    Settings(settings::Settings),
    /// Show what models were used and what it cost; nothing of it leaves this machine.
    Stats(stats::Stats),
    /// Talk to a model.
    Chat(chat::Chat),
    /// Measure how fast a model is on this machine.
    Bench(bench::Bench),
    /// Check this installation and say what to do about problems.
    Doctor(doctor::Doctor),
    /// Show the daemon's log.
    Logs(logs::Logs),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Print the manual page, or write all of them to a directory.
    Man(man::Man),
}

impl Command {
    /// What was said before Ctrl-C counts in a chat, it is how following a log ends, it pauses a
    /// download, and a daemon in the foreground ends in its own time.
    pub(crate) const fn handles_interrupt(&self) -> bool {
        match self {
            Self::Chat(_) | Self::Logs(_) => true,
            Self::Start(start) => start.is_attached(),
            Self::Models(models) => models.handles_interrupt(),
            Self::Stop(_)
            | Self::Restart(_)
            | Self::Status(_)
            | Self::Service(_)
            | Self::Load(_)
            | Self::Unload(_)
            | Self::Ps(_)
            | Self::Memory(_)
            | Self::Free(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Cancel(_)
            | Self::Hardware(_)
            | Self::Downloads(_)
            | Self::Keys(_)
            | Self::Notify(_)
            | Self::Settings(_)
            | Self::Stats(_)
            | Self::Bench(_)
            | Self::Doctor(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = line.split(' ').map(|word| if word == "''" { "" } else { word });
        Cli::try_parse_from(std::iter::once("airunner").chain(words))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_contract_names_is_understood() {
        for line in [
            "start",
            "start --foreground",
            "stop",
            "stop --force",
            "restart",
            "status --json",
            "service install",
            "service install --now --enable --replace --json",
            "service uninstall",
            "service status --json",
            "service print --executable /usr/bin/airunnerd",
            "service print --executable /usr/bin/airunnerd --socket",
            "service print --format launchd",
            "--json status",
            "models",
            "models --json",
            "models list",
            "models import /tmp/x --name tiny",
            "models import /tmp/x",
            "models show tiny",
            "models remove tiny",
            "models copy tiny team/tiny",
            "models copy tiny team/tiny --json",
            "load tiny",
            "load tiny --keep-alive 10m",
            "load tiny --keep-alive -1",
            "load tiny --keep-alive 0",
            "unload tiny",
            "unload tiny --force",
            "load tiny --pin --context 4096 --level 4bit --max-wait 30s",
            "load tiny --unpin",
            "hardware",
            "memory",
            "memory --json",
            "memory budget cpu 2GiB",
            "memory budget gpu 80%",
            "free",
            "free --pinned",
            "pause",
            "pause --for 1h --force --json",
            "resume",
            "cancel 3 --json",
            "settings",
            "settings list",
            "settings list models --changed --json",
            "settings get models.keep_alive",
            "settings set models.keep_alive -1",
            "settings set models.preload tiny,owner/name",
            "settings reset http.listen log.level",
            "settings reload",
            "stats",
            "stats --since 7d",
            "models catalog",
            "models catalog small chat",
            "models pull owner/name --name tiny --level 4bit --revision main --detach",
            "models estimate tiny --context 4096 --level fp16",
            "models verify tiny",
            "models repair tiny",
            "models import /tmp/x --link",
            "downloads",
            "downloads list",
            "downloads pause 3",
            "downloads resume 3",
            "downloads cancel 3",
            "keys token",
            "keys create phone",
            "keys create phone --scope inference,models --expires 30d --json",
            "keys list --json",
            "keys revoke phone --json",
            "keys audit -n 5 --json",
            "notify test --json",
            "notify list --all",
            "notify act 3 load",
            "notify dismiss 3",
            "ps",
            "chat tiny",
            "chat tiny hello",
            "chat tiny -",
            "chat tiny ''",
            "chat tiny - --raw --json",
            "chat tiny hi --system S --temperature 0.5 --top-k 40 --top-p 0.9 --seed 7 --max-tokens 5 --stop a --stop b",
            "chat tiny hi --max-wait 30s",
            "chat tiny hi --temperature -1",
            "chat tiny hi --temperature NaN",
            "chat tiny hi --stop ''",
            "chat ../etc hi",
            "bench tiny",
            "bench tiny --json",
            "doctor",
            "logs",
            "logs -f -n 5",
            "completions bash",
            "man",
            "man --dir /tmp",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for line in [
            "",
            "dance",
            "bench",
            "load",
            "load tiny --keep-alive soon",
            "load tiny --keep-alive -2",
            "chat",
            "chat tiny hi --top-k many",
            "load tiny --pin --unpin",
            "load tiny --level 3bit",
            "load tiny --context 0",
            "load tiny --max-wait soon",
            "memory budget cpu 200%",
            "memory budget cuda:0 1GiB",
            "memory budget cpu",
            "pause --for soon",
            "settings get",
            "settings get models.nothing",
            "settings set models.keep_alive",
            "settings reset",
            "pause --for 0",
            "stats --since yesterday",
            "models pull",
            "models estimate",
            "downloads pause",
            "downloads pause x",
            "keys",
            "keys create",
            "keys create phone --scope everything",
            "keys create phone --expires soon",
            "keys revoke",
            "keys audit -n 0",
            "notify",
            "notify act 3",
            "notify dismiss x",
            "chat tiny hi --top-k -1",
            "chat tiny hi --seed x",
            "chat tiny hi --raw --system S",
            "chat tiny hi there",
            "models import",
            "models copy tiny",
            "completions tcsh",
            "logs -n x",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn json_works_before_and_after_every_command() {
        for command in Cli::command().get_subcommands() {
            let has = |argument: &clap::Arg| argument.get_long() == Some("json");
            let mut whole = Cli::command();
            whole.build();
            let built = whole.find_subcommand(command.get_name()).unwrap();
            assert!(built.get_arguments().any(has), "{}", command.get_name());
        }
    }
}
