//! The `.deb` and the `.rpm`.

use std::process::Command;

use crate::support::{EVERYWHERE, Package, has_programs, listing, package, package_made_twice, successful};

fn field(package: &Package, name: &str) -> String {
    successful(
        Command::new("dpkg-deb")
            .arg("--field")
            .arg(&package.path)
            .arg(name),
    )
    .trim()
    .to_owned()
}

#[test]
fn a_deb_holds_everything_where_debian_looks_for_it() {
    if !has_programs(&["dpkg-deb", "dpkg-shlibdeps"]) {
        return;
    }
    let package = package("deb");
    let root = package.output.join("root");
    successful(
        Command::new("dpkg-deb")
            .arg("--raw-extract")
            .arg(&package.path)
            .arg(&root),
    );
    let found = listing(&root);
    for wanted in EVERYWHERE {
        let (kind, path) = wanted.rsplit_once(' ').unwrap();
        let wanted = format!("{kind} usr/{path}");
        assert!(found.contains(&wanted), "{wanted} in {found:#?}");
    }
    for wanted in [
        "644 f usr/lib/systemd/user/airunner.service",
        "644 f usr/lib/systemd/user/airunner.socket",
        "644 f usr/share/doc/airunner/THIRD-PARTY-NOTICES.txt.gz",
        "644 f usr/share/doc/airunner/changelog.Debian.gz",
        "644 f usr/share/doc/airunner/copyright",
        "644 f usr/share/man/man1/airunner.1.gz",
        "644 f usr/share/man/man1/airunnerd.1.gz",
        "644 f usr/share/zsh/vendor-completions/_airunner",
    ] {
        assert!(found.iter().any(|line| line == wanted), "{wanted} in {found:#?}");
    }
    let odd: Vec<&String> = found
        .iter()
        .filter(|line| {
            !["755 d", "755 f", "644 f"]
                .iter()
                .any(|kind| line.starts_with(kind))
        })
        .collect();
    assert!(odd.is_empty(), "{odd:#?}");
    // Nothing that would start it for somebody who did not ask.
    assert!(
        !found
            .iter()
            .any(|line| line.contains(".wants/") || line.contains("autostart"))
    );

    assert_eq!(field(&package, "Package"), "airunner");
    assert!(field(&package, "Version").ends_with("~trial-1"));
    let depends = field(&package, "Depends");
    for library in ["libc6 (>=", "libstdc++6 (>="] {
        assert!(depends.contains(library), "{depends}");
    }
    let owners = successful(Command::new("dpkg-deb").arg("--contents").arg(&package.path));
    assert!(
        owners.lines().all(|line| line.contains(" root/root ")),
        "{owners}"
    );
    successful(
        Command::new("md5sum")
            .args(["--check", "--strict", "--quiet", "DEBIAN/md5sums"])
            .current_dir(&root),
    );
    successful(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&package.output),
    );
}

#[test]
fn the_same_commit_makes_the_same_deb_and_lintian_has_nothing_to_say() {
    if !has_programs(&["dpkg-deb", "dpkg-shlibdeps"]) {
        return;
    }
    let one = package_made_twice("deb");
    if has_programs(&["lintian"]) {
        let mut command = Command::new("lintian");
        command.args([
            "--allow-root",
            "--fail-on",
            "error,warning",
            "--tag-display-limit",
            "0",
        ]);
        successful(command.arg(&one.path));
    }
}

#[test]
fn an_rpm_holds_the_same_and_two_are_the_same() {
    if !has_programs(&["rpm", "rpmbuild"]) {
        return;
    }
    let one = package_made_twice("rpm");
    let query = |arguments: &[&str]| {
        let mut command = Command::new("rpm");
        successful(
            command
                .args(["--query", "--package"])
                .args(arguments)
                .arg(&one.path),
        )
    };
    let format = "[%{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\\n]";
    let files = query(&["--queryformat", format]);
    for wanted in EVERYWHERE {
        let (mode, path) = (
            wanted.split(' ').next().unwrap(),
            wanted.rsplit(' ').next().unwrap(),
        );
        let wanted = format!("100{mode} root:root /usr/{path}");
        assert!(files.lines().any(|line| line == wanted), "{wanted} in {files}");
    }
    assert!(
        files.contains("/usr/lib/systemd/user/airunner.service"),
        "{files}"
    );
    let requires = query(&["--requires"]);
    assert!(requires.contains("libstdc++.so.6()(64bit)"), "{requires}");
    // Others must not take the library for one of the system's.
    let provides = query(&["--provides"]);
    assert!(!provides.contains("onnxruntime"), "{provides}");
}
