//! A newer package on top of an older one whose programs run. What Wine leaves out: it does not tell the
//! older package that it makes room for a newer one.

use airunner_tests::{Wine, builtin_directory};

use crate::installed::{Installer, Windows};
use crate::installer::FILES;

const NEXT: &str = "9.0.0";
const TRAY: &str = "airunner-tray.exe";
const LICENCE: &str = "share/doc/airunner/LICENSE.txt";
const MARK: &str = "of the version of before";

#[tokio::test]
async fn a_newer_version_takes_the_place_of_the_one_that_runs() {
    let Some(programs) = Wine::programs() else { return };
    let windows = Windows::with(&programs).await;
    let before = windows.versions().await;
    assert_eq!(before.len(), 1, "{before:?}");
    let tray = windows.program(TRAY);
    let _desktop = windows.wine.on_desktop(&tray);
    windows.wine.until_there(TRAY).await;
    something_of_the_users(&windows).await;
    std::fs::write(windows.root.join(LICENCE), MARK).unwrap();

    let next = Installer::called(&programs, ["--as-version", NEXT]);
    windows.install(&next).await.succeeded();
    nothing_of_before_is_left(&windows).await;
    what_was_the_users_is_still_theirs(&windows).await;
    the_older_one_is_refused(&windows).await;
    the_same_version_again_replaces_it(
        &windows,
        &Installer::called(&programs, ["--as-version", NEXT, "--revision", "2"]),
    )
    .await;
}

async fn something_of_the_users(windows: &Windows) {
    windows.airunner(["start"]).await.succeeded();
    let package = Wine::inside(&builtin_directory().canonicalize().unwrap().join("helper"));
    let import = ["models", "import", &package, "--name", "mine"];
    windows.airunner(import).await.succeeded();
    let set = ["settings", "set", "models.keep_alive", "31m"];
    windows.airunner(set).await.succeeded();
}

async fn nothing_of_before_is_left(windows: &Windows) {
    windows.wine.until_gone("airunnerd.exe").await;
    windows.wine.until_gone(TRAY).await;
    assert_eq!(windows.versions().await, [NEXT]);
    for file in FILES {
        assert!(windows.root.join(file).is_file(), "{file}");
    }
    let licence = std::fs::read_to_string(windows.root.join(LICENCE)).unwrap();
    assert!(!licence.contains(MARK), "it is the newer one's");
    let path = windows.registry("HKCU\\Environment", "PATH").await.unwrap();
    assert_eq!(path.matches("AI Runner").count(), 1, "{path}");
}

async fn what_was_the_users_is_still_theirs(windows: &Windows) {
    windows.airunner(["start"]).await.succeeded();
    let models = windows.json(["models", "list", "--json"]).await;
    let names: Vec<&str> = models
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["name"].as_str())
        .collect();
    assert!(
        names.contains(&"mine") && names.contains(&"builtin/helper"),
        "{names:?}"
    );
    let settings = windows.airunner(["settings", "list"]).await.succeeded();
    assert!(settings.stdout.contains("31m"), "{settings:?}");
    let question = "How do I see which models are loaded?";
    let answer = windows.airunner(["chat", "mine", question]).await.succeeded();
    assert!(answer.stdout.contains("airunner ps"), "{answer:?}");
}

async fn the_older_one_is_refused(windows: &Windows) {
    let refused = windows.install(&windows.installer).await;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(windows.versions().await, [NEXT]);
    windows.airunner(["status"]).await.succeeded();
}

async fn the_same_version_again_replaces_it(windows: &Windows, again: &Installer) {
    windows.install(again).await.succeeded();
    windows.wine.until_gone("airunnerd.exe").await;
    assert_eq!(windows.versions().await, [NEXT]);
    windows.airunner(["start"]).await.succeeded();
    windows.remove(again).await;
    windows.wine.until_gone("airunnerd.exe").await;
    assert!(windows.versions().await.is_empty());
    assert!(!windows.program(TRAY).exists());
}
