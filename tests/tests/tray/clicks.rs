//! What the menu says, and that what is clicked happens.

use airunner_tests::{FakeModel, Gate, eventually, send_signal};

use crate::support::{Scene, opened};

const SIGKILL: i32 = 9;

#[tokio::test]
async fn a_click_loads_pins_and_unloads_a_model() {
    let model = FakeModel::new("my_model").loads_in_ms(300);
    let Some(scene) = Scene::with(&[model]).await else {
        return;
    };
    let (daemon, menu) = (&scene.daemon, &scene.menu);
    menu.until("my_model: not loaded").await;
    let text = menu.until("(Idle)\n").await;
    assert!(text.starts_with("(Idle)\n"), "{text}");
    menu.click(&["my_model", "Load"]).await;
    daemon.until_state("my_model", Some("LOADED")).await;
    menu.until("my_model: loaded").await;

    menu.click(&["my_model", "Pin"]).await;
    menu.until("pinned").await;
    assert_eq!(daemon.ps("my_model").await.unwrap()["pinned"], true);
    menu.click(&["my_model", "Pin"]).await;
    eventually("it is not pinned any more", async || {
        daemon.ps("my_model").await.unwrap()["pinned"] == false
    })
    .await;

    menu.click(&["my_model", "Unload"]).await;
    daemon.until_state("my_model", None).await;
    menu.until("my_model: not loaded").await;
}

#[tokio::test]
async fn a_model_is_kept_as_long_as_was_chosen_and_all_memory_comes_back() {
    let Some(scene) = Scene::with(&[FakeModel::new("tiny"), FakeModel::new("other")]).await else {
        return;
    };
    let (daemon, menu) = (&scene.daemon, &scene.menu);
    for model in ["tiny", "other"] {
        daemon.home.cli().run(&["load", model]).await.succeeded();
    }
    menu.until("until ").await;
    menu.click(&["tiny", "Keep loaded", "Until it is unloaded"]).await;
    eventually("it has no end any more", async || {
        daemon.ps("tiny").await.unwrap()["expires_at"].is_null()
    })
    .await;
    menu.click(&["Free memory now"]).await;
    for model in ["tiny", "other"] {
        daemon.until_state(model, None).await;
    }
}

#[tokio::test]
async fn the_icon_and_the_line_follow_what_the_daemon_does() {
    let gate = Gate::new();
    let slow = FakeModel::new("slow")
        .speaks(&["word "; 2])
        .loads_behind(&gate)
        .hangs_after(1);
    let Some(scene) = Scene::with(&[slow]).await else {
        return;
    };
    let (daemon, menu) = (&scene.daemon, &scene.menu);
    let (sizes, idle) = menu.icon().await.unwrap();
    assert_eq!(sizes, [16, 22, 24, 32, 48]);
    assert_eq!(menu.tooltip().await.unwrap(), "Idle");
    let chat = daemon.home.cli().spawn(&["chat", "slow", "Well?", "--json"]);
    menu.until("Loading slow").await;
    let loading = menu.icon().await.unwrap().1;
    gate.open();
    menu.until("(Answering with slow)").await;
    menu.until("slow: answering 1 request").await;
    let working = menu.icon().await.unwrap().1;
    send_signal(daemon.workers()[0], SIGKILL);
    let text = menu.until("Needs attention (1)").await;
    assert!(text.contains("slow crashed"), "{text}");
    let warning = menu.icon().await.unwrap().1;
    menu.click(&["Needs attention", "Dismiss"]).await;
    eventually("the icon is quiet again", async || {
        menu.icon().await.unwrap().1 == idle
    })
    .await;
    let all = [idle, loading, working, warning];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "icon {index} is there twice");
    }
    drop(chat);
}

#[tokio::test]
async fn settings_logs_and_documentation_are_opened_where_they_are() {
    let Some(scene) = Scene::with(&[]).await else {
        return;
    };
    let (home, menu) = (&scene.daemon.home, &scene.menu);
    home.configure("[http]\n");
    menu.until("<Documentation>").await;
    menu.click(&["Settings", "Open the settings file"]).await;
    for entry in ["Logs", "Documentation"] {
        menu.click(&[entry]).await;
    }
    eventually("three things were opened", async || {
        opened(home).lines().count() == 3
    })
    .await;
    let opened = opened(home);
    for end in ["config/config.toml", "state/airunner.log", "/docs"] {
        assert!(opened.lines().any(|line| line.ends_with(end)), "{opened}");
    }
    let page = opened.lines().find(|line| line.ends_with("/docs")).unwrap();
    let status = home.cli().json(&["status"]).await;
    let served = status["http"]["urls"][0].as_str().unwrap();
    assert_eq!(page, format!("{served}/docs"));
}

#[tokio::test]
async fn opening_the_menu_brings_the_memory_up_to_date() {
    let Some(scene) = Scene::with(&[FakeModel::new("tiny")]).await else {
        return;
    };
    scene.menu.about_to_show().await.unwrap();
    scene.daemon.home.cli().run(&["load", "tiny"]).await.succeeded();
    scene.menu.about_to_show().await.unwrap();
    let ps = scene.daemon.ps("tiny").await.unwrap();
    assert!(ps["memory_bytes"].as_u64().unwrap() > 0, "{ps}");
    scene.menu.until("MiB >").await;
}

#[tokio::test]
async fn a_pause_refuses_until_it_is_resumed() {
    let Some(scene) = Scene::with(&[FakeModel::new("tiny")]).await else {
        return;
    };
    let (cli, menu) = (scene.daemon.home.cli(), &scene.menu);
    cli.run(&["load", "tiny"]).await.succeeded();
    menu.click(&["Pause"]).await;
    menu.until("(Paused)").await;
    scene.daemon.until_state("tiny", None).await;
    assert_eq!(cli.refusal(&["load", "tiny"]).await.1, "paused");
    menu.click(&["Resume"]).await;
    menu.until("(Idle)").await;
    cli.run(&["load", "tiny"]).await.succeeded();
}

#[tokio::test]
async fn a_daemon_that_is_not_to_stay_ends_with_the_tray() {
    let Some(scene) = Scene::with(&[]).await else {
        return;
    };
    let menu = &scene.menu;
    menu.until("<Quit tray>").await;
    let stay = "The daemon goes on when the tray is quit";
    menu.click(&["Settings", stay]).await;
    let text = menu.until(&format!("[ ] <{stay}>")).await;
    assert!(!text.contains("Quit tray"), "{text}");
    let file = scene.daemon.home.path().join("config/config.toml");
    let written = std::fs::read_to_string(file).unwrap();
    assert!(written.contains("run_in_background = false"), "{written}");
    let mut daemon = scene.daemon;
    menu.click(&["Stop the daemon and quit"]).await;
    assert!(scene.tray.ended().await.0.success());
    assert!(daemon.ended().await.success());
}

#[tokio::test]
async fn an_import_is_shown_and_given_up_by_a_click() {
    let Some(scene) = Scene::with(&[]).await else {
        return;
    };
    let (home, menu) = (&scene.daemon.home, &scene.menu);
    let idle = menu.icon().await.unwrap().1;
    let package = FakeModel::new("large").write_below(&home.path().join("packages"));
    // Zeros that take no room, and longer to read than anybody waits.
    let zeros = std::fs::File::create(package.join("zeros.bin")).unwrap();
    zeros.set_len(1 << 40).unwrap();
    let package = package.to_str().unwrap();
    let arguments = ["models", "import", package, "--link", "--name", "large"];
    let import = home.cli().spawn(&arguments);
    menu.until("(Importing large ").await;
    assert_ne!(menu.icon().await.unwrap().1, idle, "it works");
    let status = home.cli().json(&["status"]).await;
    let activity = &status["activities"][0];
    assert_eq!(activity["kind"], "import", "{status}");
    assert_eq!(activity["model"], "large", "{status}");
    menu.click(&["Importing large:", "Cancel"]).await;
    let output = import.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("given up"), "{said}");
    menu.until("(Idle)").await;
    let (_, reason, _) = home.cli().refusal(&["cancel", &activity["id"].to_string()]).await;
    assert_eq!(reason, "not_found");
    assert!(!menu.text().await.unwrap().contains("large"), "nothing is left");
}
