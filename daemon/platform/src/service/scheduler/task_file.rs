//! The description of the task.

use super::super::xml::escape;
use super::super::{Definition, ServiceError, text};

/// Runs a program of the console without showing one.
const WITHOUT_A_WINDOW: &str = "%SystemRoot%\\System32\\conhost.exe";

/// The task that starts the daemon when this user, named with the domain, logs on. It runs with
/// the user's own rights, as long as it wants, and on battery too. A task has no environment of
/// its own, so a definition with one is refused.
pub fn task(definition: &Definition, user: &str, enabled: bool) -> Result<String, ServiceError> {
    let user = escape(text::of_value(user)?);
    let (program, arguments) = command(definition)?;
    let (program, arguments) = (escape(&program), escape(&arguments));
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n\
         <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\n  \
           <RegistrationInfo>\n    \
             <Description>AI Runner: AI models on this machine</Description>\n  \
           </RegistrationInfo>\n  \
           <Triggers>\n    \
             <LogonTrigger>\n      \
               <Enabled>{enabled}</Enabled>\n      \
               <UserId>{user}</UserId>\n    \
             </LogonTrigger>\n  \
           </Triggers>\n  \
           <Principals>\n    \
             <Principal id=\"Author\">\n      \
               <UserId>{user}</UserId>\n      \
               <LogonType>InteractiveToken</LogonType>\n      \
               <RunLevel>LeastPrivilege</RunLevel>\n    \
             </Principal>\n  \
           </Principals>\n  \
           <Settings>\n    \
             <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\n    \
             <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\n    \
             <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\n    \
             <AllowHardTerminate>true</AllowHardTerminate>\n    \
             <StartWhenAvailable>false</StartWhenAvailable>\n    \
             <IdleSettings>\n      \
               <StopOnIdleEnd>false</StopOnIdleEnd>\n      \
               <RestartOnIdle>false</RestartOnIdle>\n    \
             </IdleSettings>\n    \
             <AllowStartOnDemand>true</AllowStartOnDemand>\n    \
             <Enabled>true</Enabled>\n    \
             <Hidden>false</Hidden>\n    \
             <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\n    \
             <Priority>5</Priority>\n    \
             <RestartOnFailure>\n      \
               <Interval>PT1M</Interval>\n      \
               <Count>5</Count>\n    \
             </RestartOnFailure>\n  \
           </Settings>\n  \
           <Actions Context=\"Author\">\n    \
             <Exec>\n      \
               <Command>{program}</Command>\n      \
               <Arguments>{arguments}</Arguments>\n    \
             </Exec>\n  \
           </Actions>\n\
         </Task>\n"
    ))
}

/// Windows forbids double quotes in paths, so a pair around one is enough.
fn command(definition: &Definition) -> Result<(String, String), ServiceError> {
    let executable = text::of_path(&definition.executable)?;
    if executable.contains('"') {
        return Err(ServiceError::Path {
            path: definition.executable.clone(),
            why: "it has double quotes",
        });
    }
    if executable.contains('%') {
        return Err(ServiceError::Path {
            path: definition.executable.clone(),
            why: "the task scheduler takes a percent sign for the beginning of a variable",
        });
    }
    if let Some((name, _)) = definition.environment.first() {
        return Err(ServiceError::Path {
            path: name.into(),
            why: "a task of Windows has no variables of its own: set it for your account instead",
        });
    }
    Ok((
        WITHOUT_A_WINDOW.to_owned(),
        format!("--headless \"{executable}\""),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(path: &str) -> Result<String, ServiceError> {
        task(&Definition::packaged(path.into()), "DESK & CO\\jörg", true)
    }

    #[test]
    fn the_program_is_started_as_its_user_and_nothing_ends_it() {
        let task = made("C:\\Program Files\\AI Runner & Co\\airunnerd.exe").unwrap();
        for part in [
            "<UserId>DESK &amp; CO\\jörg</UserId>",
            "<Arguments>--headless &quot;C:\\Program Files\\AI Runner &amp; Co\\airunnerd.exe&quot;</Arguments>",
            "<RunLevel>LeastPrivilege</RunLevel>",
            "<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
            "<StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>",
        ] {
            assert!(task.contains(part), "{part}: {task}");
        }
    }

    #[test]
    fn what_a_task_cannot_hold_is_refused() {
        for path in ["C:\\a\nb.exe", "C:\\%TEMP%\\airunnerd.exe", "C:\\a\"b.exe"] {
            assert!(made(path).is_err(), "{path:?}");
        }
        let with_home = Definition {
            environment: vec![("AIRUNNER_HOME".to_owned(), "C:\\x".to_owned())],
            ..Definition::packaged("C:\\airunnerd.exe".into())
        };
        assert!(task(&with_home, "u", true).is_err());
    }
}
