//! What dpkg knows of the package.

use super::super::metadata::{DESCRIPTION, MAINTAINER, Release, SUMMARY};

/// Bytes that a line of the description may have.
const WIDTH: usize = 78;

pub(super) fn text(release: &Release, depends: &str, bytes: u64) -> String {
    let mut text = format!(
        "Package: airunner\n\
         Version: {}\n\
         Architecture: {}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {}\n\
         Depends: {depends}\n\
         Recommends: ca-certificates, dbus-user-session, libpam-systemd\n\
         Section: utils\n\
         Priority: optional\n\
         Description: {SUMMARY}\n",
        release.full(),
        release.platform.debian,
        bytes.div_ceil(1024),
    );
    let mut paragraphs: Vec<&str> = DESCRIPTION.to_vec();
    if release.trial {
        paragraphs.push("This package was made of programs for tests. It is not a release.");
    }
    let paragraphs: Vec<String> = paragraphs.iter().map(|text| indented(text)).collect();
    text.push_str(&paragraphs.join(" .\n"));
    text
}

/// A paragraph in lines that begin with a space.
fn indented(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let last = lines.last_mut().expect("there is a line");
        if last.len() + 1 + word.len() > WIDTH {
            lines.push(format!(" {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::materials::sample;
    use super::*;

    #[test]
    fn the_control_file_is_one_paragraph_of_fields() {
        let text = text(&sample().release, "libc6 (>= 2.34)", 10_241);
        for line in [
            "Package: airunner",
            "Version: 1.2.3-1",
            "Architecture: amd64",
            "Installed-Size: 11",
            "Depends: libc6 (>= 2.34)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("\n\n") && text.ends_with('\n'), "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH + 2), "{text}");
        assert!(!text.contains("not a release"));
    }

    #[test]
    fn a_trial_says_so() {
        let mut release = sample().release;
        release.trial = true;
        let text = text(&release, "", 0);
        assert!(text.contains("not a release"), "{text}");
        assert!(text.contains("Version: 1.2.3~trial-1\n"), "{text}");
    }
}
