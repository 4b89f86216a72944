//! The one question there is: whether to start at login. It is asked once, of a person at a
//! terminal, and the answer is no unless it is yes.

use std::io::{self, IsTerminal as _};

use airunner_ipc_client::Places;
use airunner_platform::service::{self, Service, login};

use crate::failure::Failure;
use crate::output::Output;

pub(crate) async fn ask(places: &Places, output: &Output) -> Result<(), Failure> {
    if !output.is_for_a_person() || !io::stdin().is_terminal() || !is_open(places).await {
        return Ok(());
    }
    output.aside("Start AI Runner when you log in? [y/N] ");
    let Some(answer) = line().await else {
        output.note("");
        return Ok(());
    };
    if is_yes(&answer) {
        login::set(true).await?;
        output.note("It does from now on; \"airunner service uninstall\" takes that back.");
    } else {
        service::remember_answer(places, false).map_err(airunner_core::Fault::from)?;
        output.note("It does not. Should you want it later: airunner service install --enable");
    }
    Ok(())
}

/// It can be done, was not done, and nobody was asked. A home of its own is for trying things out.
async fn is_open(places: &Places) -> bool {
    if service::was_asked(places) {
        return false;
    }
    let usual = Service::of_this_user().is_ok_and(|service| {
        let surroundings = service.surroundings();
        surroundings.places == *places && surroundings.own_home().is_none()
    });
    let possible = |state: login::LoginState| !state.enabled && state.problem.is_none();
    usual && login::state().await.is_ok_and(possible)
}

/// What was typed; `None` at the end of the input.
async fn line() -> Option<String> {
    let read = || {
        let mut line = String::new();
        let length = io::stdin().read_line(&mut line).ok()?;
        (length > 0).then_some(line)
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in [
            ("y\n", true),
            (" YES \n", true),
            ("\n", false),
            ("n\n", false),
            ("yeah\n", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
