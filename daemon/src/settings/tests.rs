use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use airunner_core::settings::{Applies, NAMES, Pending, Setting, SettingChange, SettingSource};
use airunner_core::{ErrorKind, Fault, KeepAlive};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;
use crate::config::{Environment, Settings, Written, keys};

/// Remembers what it was told to go by.
#[derive(Default)]
struct Told {
    applied: Mutex<Vec<Settings>>,
    settled: Mutex<Vec<bool>>,
    refused: Mutex<Vec<String>>,
}

/// A port that is never free.
const TAKEN: u16 = 9;

impl Live for Told {
    fn prepare<'a>(&'a self, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>> {
        let taken = new.http.listen.is_some_and(|address| address.port() == TAKEN);
        async move {
            if taken {
                Err(Fault::new(ErrorKind::Busy, "taken"))
            } else {
                Ok(())
            }
        }
        .boxed()
    }

    fn settle(&self, counts: bool) -> BoxFuture<'_, Result<(), Fault>> {
        self.settled.lock().unwrap().push(counts);
        async { Ok(()) }.boxed()
    }

    fn refused<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, ()> {
        self.refused.lock().unwrap().push(fault.message.clone());
        async {}.boxed()
    }

    fn apply<'a>(&'a self, _old: &'a Settings, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>> {
        self.applied.lock().unwrap().push(new.clone());
        async { Ok(()) }.boxed()
    }
}

#[derive(Default)]
struct Desk(AtomicBool);

impl Login for Desk {
    fn state(&self) -> Result<bool, Fault> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    fn set(&self, on: bool) -> Result<(), Fault> {
        self.0.store(on, Ordering::SeqCst);
        Ok(())
    }
}

struct World {
    home: tempfile::TempDir,
    told: Arc<Told>,
    desk: Arc<Desk>,
    settings: Handle,
}

fn world(text: &str, variables: &[(&str, &str)]) -> World {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let environment = Environment::of(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let (told, desk) = (Arc::new(Told::default()), Arc::new(Desk::default()));
    let running = Written::read(&path, &environment).unwrap();
    let book = Book::new(path, environment, Arc::clone(&desk) as Arc<dyn Login>);
    let (settings, actor) = Handle::new(book, running);
    tokio::spawn(actor.run(Arc::clone(&told) as Arc<dyn Live>));
    World {
        home,
        told,
        desk,
        settings,
    }
}

impl World {
    fn path(&self) -> std::path::PathBuf {
        self.home.path().join("config.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    async fn reset(&self, name: &str) -> Setting {
        let change = SettingChange {
            name: name.to_owned(),
            value: None,
        };
        self.settings.change(vec![change]).await.unwrap().remove(0)
    }

    async fn set(&self, name: &str, value: &str) -> Result<Setting, Fault> {
        let value = SettingChange {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        };
        let mut changed = self.settings.change(vec![value]).await?;
        assert_eq!(changed.len(), 1);
        Ok(changed.remove(0))
    }
}

#[tokio::test]
async fn everything_is_listed_with_where_it_comes_from() {
    let world = world(
        "[log]\nlevel = 'debug'\n",
        &[("AIRUNNER_MODELS_PRELOAD", "a1,b2")],
    );
    let listed = world.settings.list().await.unwrap();
    assert_eq!(listed.len(), keys().count() + 1, "and what the system knows");
    let names: Vec<String> = listed.iter().map(Setting::name).collect();
    assert_eq!(names, NAMES, "core::settings::NAMES has them all");
    let of = |name: &str| listed.iter().find(|setting| setting.name() == name).unwrap();
    let level = of("log.level");
    assert_eq!(
        (&*level.value, &*level.default, level.source, level.applies),
        ("\"debug\"", "\"info\"", SettingSource::File, Applies::Restart)
    );
    let preload = of("models.preload");
    assert_eq!(
        (&*preload.value, preload.source),
        ("[\"a1\",\"b2\"]", SettingSource::Environment)
    );
    assert_eq!(of("http.listen").source, SettingSource::Default);
    assert_eq!(of("desktop.start_at_login").source, SettingSource::System);
    assert!(listed.iter().all(|setting| setting.pending == Pending::Nothing));
    let sections: Vec<&str> = listed.iter().map(|setting| &*setting.section).collect();
    let mut once = sections.clone();
    once.dedup();
    let all: std::collections::BTreeSet<&str> = sections.into_iter().collect();
    assert_eq!(once.len(), all.len(), "sections stay together: {once:?}");
}

#[tokio::test]
async fn what_can_count_at_once_does_and_the_rest_says_so() {
    let world = world("# mine\n[models]\nkeep_alive = \"5m\" # short\n", &[]);
    let changed = world.set("models.keep_alive", "9m").await.unwrap();
    assert_eq!((&*changed.value, changed.pending), ("\"9m\"", Pending::Nothing));
    assert_eq!(world.text(), "# mine\n[models]\nkeep_alive = \"9m\" # short\n");
    let nine = KeepAlive::After(std::time::Duration::from_secs(540));
    assert_eq!(
        world
            .told
            .applied
            .lock()
            .unwrap()
            .last()
            .unwrap()
            .models
            .keep_alive,
        nine
    );
    assert_eq!(world.settings.current().models.keep_alive, nine);

    let changed = world.set("runtime.threads", "3").await.unwrap();
    assert_eq!(changed.pending, Pending::Restart);
    assert_eq!(world.settings.current().runtime.threads, None);
    assert_eq!(world.told.applied.lock().unwrap().len(), 1, "nothing to apply");
    let reset = world.reset("runtime.threads").await;
    assert_eq!(
        (reset.pending, reset.source),
        (Pending::Nothing, SettingSource::Default)
    );
    assert!(!world.text().contains("threads"));
}

#[tokio::test]
async fn what_somebody_writes_into_the_file_counts_after_a_reload() {
    let world = world("", &[]);
    std::fs::write(
        world.path(),
        "[models]\nkeep_alive = 7\n[log]\nlevel = \"debug\"\n",
    )
    .unwrap();
    let pending = |name: &'static str| {
        let settings = world.settings.clone();
        async move { settings.get(name.to_owned()).await.unwrap().pending }
    };
    assert_eq!(pending("models.keep_alive").await, Pending::Reload);
    assert_eq!(pending("log.level").await, Pending::Restart);
    let changed = world.settings.reload().await.unwrap();
    let changed: Vec<_> = changed
        .iter()
        .map(|setting| (setting.name(), setting.pending))
        .collect();
    assert_eq!(
        changed,
        [
            ("models.keep_alive".to_owned(), Pending::Nothing),
            ("log.level".to_owned(), Pending::Restart)
        ]
    );
    assert_eq!(world.told.applied.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_or_would_not_count_is_refused_and_changes_nothing() {
    let world = world("[log]\nlevel = \"info\"\n", &[("AIRUNNER_LOG_MAX_FILES", "3")]);
    for (name, value, expected) in [
        (
            "models.keep_alive",
            "soon",
            "models.keep_alive cannot be \"soon\": it must be a time",
        ),
        ("models.keep", "1", "there is no setting models.keep"),
        ("keep_alive", "1", "there is no setting keep_alive"),
        ("log.max_files", "4", "set by the variable AIRUNNER_LOG_MAX_FILES"),
        ("desktop.start_at_login", "maybe", "it must be true or false"),
    ] {
        let fault = world.set(name, value).await.unwrap_err();
        assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{fault}");
        assert!(fault.message.contains(expected), "{fault}");
    }
    let both = [("log.level", "debug"), ("runtime.threads", "many")].map(|(name, value)| SettingChange {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    });
    assert!(world.settings.change(both.to_vec()).await.is_err());
    assert!(world.settings.change(Vec::new()).await.is_err());
    assert_eq!(
        world.text(),
        "[log]\nlevel = \"info\"\n",
        "all of them or nothing"
    );

    std::fs::write(world.path(), "[log\n").unwrap();
    for fault in [
        world.set("log.level", "debug").await.unwrap_err(),
        world.settings.list().await.unwrap_err(),
        world.settings.reload().await.unwrap_err(),
    ] {
        assert_eq!(fault.kind, ErrorKind::InvalidConfig);
        assert!(fault.message.contains("line 1"), "{fault}");
    }
    assert_eq!(world.text(), "[log\n", "left alone");
    assert!(world.told.applied.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_address_that_cannot_be_taken_is_not_written_and_one_in_the_file_is_told() {
    let world = world("", &[]);
    let fault = world.set("http.listen", "127.0.0.1:9").await.unwrap_err();
    assert_eq!((fault.kind, world.text().as_str()), (ErrorKind::Busy, ""));
    assert!(
        world.told.refused.lock().unwrap().is_empty(),
        "who asked knows it"
    );
    let set = world.set("http.listen", "127.0.0.1:7").await.unwrap();
    assert_eq!((set.pending, set.applies), (Pending::Nothing, Applies::AtOnce));
    assert_eq!(*world.told.settled.lock().unwrap(), [true]);

    let edited = "[models]\nkeep_alive = 7\n[http]\nlisten = \"127.0.0.1:9\"\n";
    std::fs::write(world.path(), edited).unwrap();
    let fault = world.settings.reload().await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Busy);
    assert_eq!(*world.told.refused.lock().unwrap(), ["taken"]);
    let listen = world.settings.get("http.listen".to_owned()).await.unwrap();
    assert_eq!(
        (&*listen.value, listen.pending),
        ("\"127.0.0.1:9\"", Pending::Reload)
    );
    let now = world.settings.current();
    assert_eq!(now.http.listen.unwrap().port(), 7, "as it was");
    let seven = KeepAlive::After(std::time::Duration::from_secs(7));
    assert_eq!(now.models.keep_alive, seven, "the rest counts");
    // It keeps nobody from setting something else, and can be mended.
    let other = world.set("models.keep_alive", "8").await.unwrap();
    assert_eq!(other.pending, Pending::Nothing);
    assert_eq!(world.reset("http.listen").await.pending, Pending::Nothing);
}

#[tokio::test]
async fn the_login_is_the_systems_to_tell_and_to_change() {
    let world = world("", &[]);
    let set = world.set("desktop.start_at_login", "true").await.unwrap();
    assert_eq!((&*set.value, set.source), ("true", SettingSource::System));
    assert!(world.desk.state().unwrap());
    assert_eq!(world.text(), "", "nothing of it is in the file");
    world.desk.set(false).unwrap();
    let name = "desktop.start_at_login".to_owned();
    assert_eq!(world.settings.get(name.clone()).await.unwrap().value, "false");
    world.desk.set(true).unwrap();
    world.reset(&name).await;
    assert!(!world.desk.state().unwrap());
    assert!(Path::new(&world.path()).exists());
}
