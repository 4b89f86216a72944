//! Property lists of agents.

use std::path::Path;

use super::super::autostart::IN_BACKGROUND;
use super::super::xml::escape;
use super::super::{Definition, ServiceError, text};

/// The daemon's agent.
pub const LABEL: &str = "dev.airunner.daemon";
/// The tray's agent.
pub(in super::super) const TRAY_LABEL: &str = "dev.airunner.tray";

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
    <plist version=\"1.0\">\n<dict>\n";

/// The daemon's: it starts with the login, and comes back when it fails, not when it ends well.
pub fn property_list(definition: &Definition) -> Result<String, ServiceError> {
    let mut list = HEAD.to_owned();
    string(&mut list, "Label", LABEL);
    program(&mut list, &definition.executable, &[])?;
    environment(&mut list, &definition.environment)?;
    list.push_str("\t<key>RunAtLoad</key>\n\t<true/>\n");
    list.push_str(
        "\t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n",
    );
    integer(&mut list, "ThrottleInterval", 10);
    integer(&mut list, "ExitTimeOut", 60);
    // Decimal for 0077: what the daemon makes is the user's alone.
    integer(&mut list, "Umask", 63);
    // Somebody waits for answers: the system must not slow it down as background work.
    string(&mut list, "ProcessType", "Interactive");
    string(&mut list, "WorkingDirectory", "/");
    string(&mut list, "StandardOutPath", "/dev/null");
    string(
        &mut list,
        "StandardErrorPath",
        text::of_path(&definition.error_log)?,
    );
    list.push_str("</dict>\n</plist>\n");
    Ok(list)
}

/// The tray's: it starts with the desktop, and stays away once it is quit.
pub(in super::super) fn tray_property_list(executable: &Path) -> Result<String, ServiceError> {
    let mut list = HEAD.to_owned();
    string(&mut list, "Label", TRAY_LABEL);
    program(&mut list, executable, &[IN_BACKGROUND])?;
    list.push_str("\t<key>RunAtLoad</key>\n\t<true/>\n");
    string(&mut list, "LimitLoadToSessionType", "Aqua");
    string(&mut list, "ProcessType", "Interactive");
    list.push_str("</dict>\n</plist>\n");
    Ok(list)
}

fn program(list: &mut String, executable: &Path, arguments: &[&str]) -> Result<(), ServiceError> {
    list.push_str("\t<key>ProgramArguments</key>\n\t<array>\n");
    for word in std::iter::once(&text::of_path(executable)?).chain(arguments) {
        list.push_str(&format!("\t\t<string>{}</string>\n", escape(word)));
    }
    list.push_str("\t</array>\n");
    Ok(())
}

fn environment(list: &mut String, variables: &[(String, String)]) -> Result<(), ServiceError> {
    if variables.is_empty() {
        return Ok(());
    }
    list.push_str("\t<key>EnvironmentVariables</key>\n\t<dict>\n");
    for (name, value) in variables {
        let value = escape(text::of_value(value)?);
        list.push_str(&format!("\t\t<key>{name}</key>\n\t\t<string>{value}</string>\n"));
    }
    list.push_str("\t</dict>\n");
    Ok(())
}

fn string(list: &mut String, key: &str, value: &str) {
    let value = escape(value);
    list.push_str(&format!("\t<key>{key}</key>\n\t<string>{value}</string>\n"));
}

fn integer(list: &mut String, key: &str, value: u32) {
    list.push_str(&format!("\t<key>{key}</key>\n\t<integer>{value}</integer>\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a list with Python's own reader and returns it as JSON.
    fn parsed(list: &str) -> serde_json::Value {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let script =
            "import sys, plistlib, json; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)";
        let mut python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success(), "{list}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[test]
    fn another_reader_finds_what_was_meant() {
        let path = "/Users/ä <b>/\"q\" & 'r' %h $x \\/airunnerd";
        let definition = Definition {
            environment: vec![("AIRUNNER_HOME".to_owned(), "/a & b".to_owned())],
            for_everybody: false,
            error_log: "/tmp/e<r>r".into(),
            ..Definition::packaged(path.into())
        };
        let list = parsed(&property_list(&definition).unwrap());
        assert_eq!(
            list,
            serde_json::json!({
                "Label": "dev.airunner.daemon",
                "ProgramArguments": [path],
                "EnvironmentVariables": { "AIRUNNER_HOME": "/a & b" },
                "RunAtLoad": true,
                "KeepAlive": { "SuccessfulExit": false },
                "ThrottleInterval": 10,
                "ExitTimeOut": 60,
                "Umask": 63,
                "ProcessType": "Interactive",
                "WorkingDirectory": "/",
                "StandardOutPath": "/dev/null",
                "StandardErrorPath": "/tmp/e<r>r",
            })
        );
        let tray = parsed(&tray_property_list(Path::new(path)).unwrap());
        assert_eq!(tray["ProgramArguments"], serde_json::json!([path, IN_BACKGROUND]));
        assert_eq!(tray["RunAtLoad"], true);
        assert!(tray_property_list(Path::new("/a\nb")).is_err());
    }
}
