//! The vendor's tool, for systems that hide the kernel's own figures.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use airunner_core::hardware::{Device, Gpu};

use super::super::super::Found;

const TOOL: &str = "rocm-smi";
const ARGUMENTS: [&str; 4] = ["--showmeminfo", "vram", "--json", "--loglevel=error"];
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_OUTPUT: u64 = 1 << 20;
/// No GPU has so much; such a figure is a mistake.
const MOST_BYTES: u64 = 1 << 50;

pub(super) fn found() -> Found {
    let mut command = Command::new(TOOL);
    command.args(ARGUMENTS);
    let (gpus, notes) = match output(command, PATIENCE) {
        Ok(Some(text)) => match parse(&text) {
            Some(gpus) => (gpus, None),
            None => (Vec::new(), Some(format!("{TOOL} printed what is not understood"))),
        },
        Ok(None) => (
            Vec::new(),
            Some(format!("{TOOL} did not answer within {} s", PATIENCE.as_secs())),
        ),
        // Without the tool there is nothing to say: the driver may be there for other reasons.
        Err(error) => {
            tracing::debug!(%error, "no {TOOL}");
            (Vec::new(), None)
        }
    };
    Found {
        gpus,
        notes: notes.into_iter().collect(),
        unified: false,
    }
}

/// What a program prints; `None` if it takes too long, and then it is killed.
fn output(mut command: Command, patience: Duration) -> std::io::Result<Option<String>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let Some(stdout) = child.stdout.take() else {
        return Ok(None);
    };
    let (sender, receiver) = sync_channel(1);
    std::thread::Builder::new().name(TOOL.to_owned()).spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(MOST_OUTPUT).read_to_end(&mut text);
        drop(sender.send(read.map(|_| String::from_utf8_lossy(&text).into_owned())));
    })?;
    let answer = receiver.recv_timeout(patience);
    // It has closed its output, or it is late, or it printed too much: it has to go either way.
    drop(child.kill());
    child.wait()?;
    answer.map_or(Ok(None), |read| read.map(Some))
}

/// `{"card0": {"VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "1"}, ...}`.
/// Newer versions add entries that are no cards. `None` if it is no such text.
fn parse(text: &str) -> Option<Vec<Gpu>> {
    // Warnings may come before it.
    let json = &text[text.find('{')?..];
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    let mut cards: Vec<(u32, u64, u64)> = object
        .iter()
        .filter_map(|(key, card)| {
            let number = key.strip_prefix("card")?.parse().ok()?;
            let total = bytes(card.get("VRAM Total Memory (B)")?)?;
            let used = bytes(card.get("VRAM Total Used Memory (B)")?)?;
            let sound = (1..=MOST_BYTES).contains(&total);
            sound.then(|| (number, total, total.saturating_sub(used)))
        })
        .collect();
    cards.sort_unstable();
    let gpus = (0..).map(Device::Rocm).zip(cards);
    Some(
        gpus.map(|(device, (number, total_bytes, free_bytes))| Gpu {
            device,
            name: format!("AMD GPU {number}"),
            total_bytes,
            free_bytes,
            ..Gpu::default()
        })
        .collect(),
    )
}

fn bytes(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tool_prints_is_read() {
        let good = r#"{"card0": {"VRAM Total Memory (B)": "1000", "VRAM Total Used Memory (B)": "400"}}"#;
        let two = r#"WARNING: AMD GPU device(s) is/are in a low-power state
            {"card10": {"VRAM Total Memory (B)": 500, "VRAM Total Used Memory (B)": 600},
             "card2": {"VRAM Total Memory (B)": "900", "VRAM Total Used Memory (B)": "0"},
             "system": {"Driver version": "6.7.0"}}"#;
        for (text, expected) in [
            (good, Some(vec![(Device::Rocm(0), 1000, 600)])),
            (
                two,
                Some(vec![(Device::Rocm(0), 900, 900), (Device::Rocm(1), 500, 0)]),
            ),
            (r#"{"card0": {"VRAM Total Memory (B)": "1000"}}"#, Some(vec![])),
            (
                r#"{"card0": {"VRAM Total Memory (B)": "-1", "VRAM Total Used Memory (B)": "0"}}"#,
                Some(vec![]),
            ),
            (
                r#"{"card0": {"VRAM Total Memory (B)": 18446744073709551615, "VRAM Total Used Memory (B)": 0}}"#,
                Some(vec![]),
            ),
            (r#"{"card0": "N/A", "card1": [1], "cardx": {}}"#, Some(vec![])),
            ("{}", Some(vec![])),
            (r#"{"card0": {"#, None),
            ("[]", None),
            ("", None),
        ] {
            let gpus = parse(text).map(|gpus| {
                let figures = gpus
                    .iter()
                    .map(|gpu| (gpu.device, gpu.total_bytes, gpu.free_bytes));
                figures.collect::<Vec<_>>()
            });
            assert_eq!(gpus, expected, "{text}");
        }
    }

    /// Longer than anything takes on a busy machine; reached only by a defect.
    const LONG: Duration = Duration::from_secs(300);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_tool_that_hangs_is_killed_and_one_that_floods_is_cut() {
        assert_eq!(
            output(shell("exec sleep 100"), Duration::from_millis(50)).unwrap(),
            None
        );
        let flood = output(shell("exec yes"), LONG).unwrap().unwrap();
        assert_eq!(flood.len() as u64, MOST_OUTPUT);
        assert_eq!(output(shell("echo hello"), LONG).unwrap().unwrap(), "hello\n");
        assert!(output(Command::new("/no/such/tool"), LONG).is_err());
    }
}
