//! Models made of installed ones, whose files they share.

use std::fs;
use std::path::{Component, Path};

use airunner_core::ModelName;
use airunner_core::defaults::Defaults;
use airunner_core::model::Source;
use airunner_platform::files;
use airunner_runtimes::package::inspect;
use sha2::{Digest as _, Sha256};

use super::assemble::Part;
use super::error::{StoreError, at};
use super::import::check_new_name;
use super::manifest::{Manifest, ManifestFile};
use super::sources::{self, SourceFile};
use super::staging::Staging;
use super::{Installed, REMOVING, Store};

/// What the new model has otherwise than the one it is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// What these leave open stays as it is.
    pub defaults: Defaults,
    /// Source of another chat template.
    pub template: Option<String>,
    /// Text of the licence.
    pub license: Option<String>,
}

/// What a new model is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin<M> {
    Model(M),
    /// Files that clients sent.
    Files(Vec<Part>),
}

const TEMPLATE: &str = "chat_template.jinja";

impl Store {
    /// Makes a model of an installed one or of files. Files are second names of the same bytes
    /// where the file system has such, so that removing either model leaves the other whole. With
    /// `replaces`, the model of the new name, which must not be in use, makes way in the same
    /// moment.
    pub fn derive(
        &self,
        from: &Origin<Installed>,
        name: &ModelName,
        changes: Changes,
        installed: &[ModelName],
        replaces: bool,
    ) -> Result<Installed, StoreError> {
        let others: Vec<ModelName> = installed
            .iter()
            .filter(|other| !(replaces && *other == name))
            .cloned()
            .collect();
        check_new_name(name, &others)?;
        let (staging, mut manifest) = match from {
            Origin::Model(from) => {
                let staging = self.stage()?;
                let mut manifest = self.share(from, name, &staging, changes.template.is_some())?;
                manifest.defaults = changes.defaults.or(&from.defaults).into();
                (staging, manifest)
            }
            Origin::Files(parts) => self.assemble(parts, name, changes.defaults)?,
        };
        if let Some(template) = &changes.template {
            manifest.files.retain(|file| file.path != TEMPLATE);
            manifest.files.push(self.write(&staging, TEMPLATE, template)?);
            manifest.files.sort_by(|one, other| one.path.cmp(&other.path));
        }
        if changes.license.is_some() {
            manifest.license = changes.license;
        }
        let package = manifest.package(staging.directory()).to_path_buf();
        inspect(&package).map_err(StoreError::Package)?;
        let doomed = replaces.then(|| self.hide(name)).transpose()?.flatten();
        let published = self.publish(staging, name, &manifest, &|| false);
        match (&published, doomed) {
            (_, None) => {}
            (Ok(_), Some(doomed)) => fs::remove_dir_all(&doomed).map_err(at("remove", &doomed))?,
            (Err(_), Some(doomed)) => {
                let place = self.place(name);
                fs::rename(&doomed, &place).map_err(at("put back", &place))?;
            }
        }
        published
    }

    /// Puts the files of a model into the new package, or tells where they are.
    fn share(
        &self,
        from: &Installed,
        name: &ModelName,
        staging: &Staging,
        changes_files: bool,
    ) -> Result<Manifest, StoreError> {
        if from.source == Source::Builtin {
            return self.copy_builtin(from, name, staging);
        }
        let mut manifest = Manifest::read(&self.place(&from.name))?;
        manifest.name = name.to_string();
        manifest.imported_at = jiff::Timestamp::now().to_string();
        if manifest.directory.is_some() && !changes_files {
            return Ok(manifest);
        }
        for file in &manifest.files {
            let inside = Path::new(&file.path);
            let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
            let real = from.directory.join(inside);
            if !inside.components().all(is_plain) {
                return Err(StoreError::BadName { path: real });
            }
            if !(changes_files && file.path == TEMPLATE) {
                let real = real.canonicalize().map_err(at("follow", &real))?;
                staging.place(&file.path, &real)?;
            }
        }
        manifest.directory = None;
        Ok(manifest)
    }

    /// What ships with the program is written over by its updates, so its bytes are copied.
    fn copy_builtin(
        &self,
        from: &Installed,
        name: &ModelName,
        staging: &Staging,
    ) -> Result<Manifest, StoreError> {
        let summary = inspect(&from.directory).map_err(StoreError::Package)?;
        let found: Vec<SourceFile> = sources::find(&from.directory)?;
        let files = self.copy_all(&found, staging.directory(), &Unwatched)?;
        let source = Source::Import(from.name.to_string());
        Ok(Manifest::new(name, summary.kind, summary.format, &source, files))
    }

    fn write(&self, staging: &Staging, path: &str, text: &str) -> Result<ManifestFile, StoreError> {
        let target = staging.directory().join(path);
        if target.exists() {
            // A copy of the package's own; never a second name of somebody else's bytes.
            fs::remove_file(&target).map_err(at("remove", &target))?;
        }
        let mut output = (self.create)(&target).map_err(at("create", &target))?;
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.persist())
            .map_err(at("write", &target))?;
        let hash = Sha256::digest(text.as_bytes());
        Ok(ManifestFile {
            path: path.to_owned(),
            size: text.len() as u64,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Takes a package out of sight; `None` if there is none.
    fn hide(&self, name: &ModelName) -> Result<Option<std::path::PathBuf>, StoreError> {
        let place = self.place(name);
        if !place.exists() {
            return Ok(None);
        }
        let doomed = self.hidden(REMOVING);
        fs::rename(&place, &doomed).map_err(at("remove", &place))?;
        files::sync_directory(&self.directory).map_err(at("write", &self.directory))?;
        Ok(Some(doomed))
    }
}

/// Nobody waits for the progress of so small a copy.
struct Unwatched;

impl super::Observer for Unwatched {
    fn progress(&self, _progress: airunner_core::model::ImportProgress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use airunner_core::chat::Message;
    use airunner_core::generate::Sampling;

    use super::super::{Announced, BlobDigest};
    use super::*;

    struct World {
        _home: tempfile::TempDir,
        store: Store,
        package: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let builtin = home.path().join("builtin");
            let package = builtin.join("helper");
            fs::create_dir_all(&package).unwrap();
            let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/parity/llama-bare");
            for entry in fs::read_dir(original).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), package.join(entry.file_name())).unwrap();
            }
            let store = Store::open(home.path().join("models"), builtin).unwrap();
            Self {
                _home: home,
                store,
                package,
            }
        }

        fn derive(&self, from: &Installed, name: &str, changes: Changes) -> Result<Installed, StoreError> {
            let installed: Vec<ModelName> = self.store.scan().into_iter().map(|model| model.name).collect();
            let replaces = installed.contains(&named(name));
            let from = Origin::Model(from.clone());
            self.store
                .derive(&from, &named(name), changes, &installed, replaces)
        }

        /// Every file is as its manifest says.
        fn is_sound(&self, name: &str) -> bool {
            let published = self.store.published(&named(name)).unwrap();
            published.verify(&mut |_, _| Ok(())).unwrap().is_empty()
        }

        fn found(&self, name: &str) -> Installed {
            let mut all = self.store.scan().into_iter();
            all.find(|model| model.name.as_str() == name).unwrap()
        }
    }

    fn named(name: &str) -> ModelName {
        ModelName::new(name).unwrap()
    }

    fn pirate() -> Changes {
        Changes {
            defaults: Defaults {
                system: Some("You are a pirate.".to_owned()),
                sampling: Sampling {
                    temperature: Some(0.5),
                    ..Sampling::default()
                },
                stop: vec!["END".to_owned()],
                max_tokens: Some(5),
                context_length: Some(512),
                messages: vec![Message::new("user", "Who?"), Message::new("assistant", "Arr")],
            },
            template: Some("{{ messages }}".to_owned()),
            license: Some("Do as you like.".to_owned()),
        }
    }

    #[test]
    fn a_copy_outlives_what_it_was_made_of_and_changes_add_up() {
        let world = World::new();
        let builtin = world.found("builtin/helper");
        let first = world.derive(&builtin, "first", Changes::default()).unwrap();
        let second = world.derive(&first, "team/second", pirate()).unwrap();
        assert!(world.is_sound("first") && world.is_sound("team/second"));
        assert_eq!(second, world.found("team/second"));
        assert_eq!(second.defaults, pirate().defaults);
        let cooler = Changes {
            defaults: Defaults {
                sampling: Sampling {
                    temperature: Some(0.1),
                    ..Sampling::default()
                },
                ..Defaults::default()
            },
            ..Changes::default()
        };
        let third = world.derive(&second, "third", cooler).unwrap();
        assert_eq!(third.defaults.sampling.temperature, Some(0.1));
        assert_eq!(third.defaults.system, second.defaults.system);
        assert_eq!(third.defaults.messages, second.defaults.messages);
        let license = world.store.card(&third).unwrap().license;
        assert_eq!(license.as_deref(), Some("Do as you like."));

        world.store.remove(&first).unwrap();
        world.store.remove(&second).unwrap();
        assert!(world.is_sound("third"));
        let template = fs::read_to_string(third.directory.join(TEMPLATE)).unwrap();
        assert_eq!(template, "{{ messages }}");
        let details = inspect(&third.directory).unwrap();
        assert_eq!(details.chat_template.as_deref(), Some("{{ messages }}"));
    }

    #[test]
    fn linked_files_are_left_alone() {
        let world = World::new();
        let linked = world
            .store
            .link(&world.package, &named("linked"), &[], &Unwatched)
            .unwrap();
        let copy = world.derive(&linked, "copy", Changes::default()).unwrap();
        assert_eq!(copy.directory, linked.directory);
        let changed = world.derive(&linked, "changed", pirate()).unwrap();
        assert_ne!(changed.directory, linked.directory);
        assert!(!world.package.join(TEMPLATE).exists());
        world.store.remove(&linked).unwrap();
        world.store.remove(&changed).unwrap();
        assert!(world.is_sound("copy"));
    }

    #[test]
    fn a_model_makes_way_for_its_successor_even_if_that_is_made_of_it() {
        let world = World::new();
        let first = world
            .derive(&world.found("builtin/helper"), "mine", Changes::default())
            .unwrap();
        let second = world.derive(&first, "mine", pirate()).unwrap();
        assert_eq!(world.found("mine"), second);
        assert!(world.is_sound("mine"));
        let broken = Changes {
            template: Some("x".repeat(2 << 20)),
            ..Changes::default()
        };
        assert!(world.derive(&second, "mine", broken).is_err());
        assert_eq!(world.found("mine"), second);
        let names = fs::read_dir(second.directory.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1);
    }

    /// A file with these bytes, sent to the store.
    fn sent(store: &Store, bytes: &[u8]) -> BlobDigest {
        let hash = Sha256::digest(bytes);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = BlobDigest::parse(&format!("sha256:{hex}")).unwrap();
        let announced = Announced {
            digest: digest.clone(),
            length: Some(bytes.len() as u64),
            most: 1 << 30,
        };
        let mut receiving = store.receive(announced).unwrap();
        receiving.write(bytes).unwrap();
        receiving.finish().unwrap();
        digest
    }

    /// The files of the package, sent to the store.
    fn parts(world: &World) -> Vec<Part> {
        let entries = fs::read_dir(&world.package).unwrap();
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                Part {
                    path: path.file_name().unwrap().to_string_lossy().into_owned(),
                    digest: sent(&world.store, &fs::read(&path).unwrap()),
                }
            })
            .collect()
    }

    #[test]
    fn a_model_of_files_is_as_sound_as_an_import_and_outlives_them() {
        let world = World::new();
        let parts = parts(&world);
        let make = |parts: &[Part], changes: Changes| {
            let from = Origin::Files(parts.to_vec());
            world.store.derive(&from, &named("sent"), changes, &[], false)
        };
        let incomplete: Vec<Part> = parts
            .iter()
            .filter(|part| part.path != "tokenizer.json")
            .cloned()
            .collect();
        assert!(matches!(
            make(&incomplete, Changes::default()),
            Err(StoreError::Package(_))
        ));
        let made = make(&parts, pirate()).unwrap();
        assert_eq!(made, world.found("sent"));
        assert_eq!(made.defaults, pirate().defaults);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(48 * 3600);
        assert_eq!(world.store.sweep_blobs(later).unwrap(), parts.len());
        assert!(world.is_sound("sent"));
        world.store.remove(&made).unwrap();
        let gone = make(&parts, Changes::default()).unwrap_err();
        assert!(matches!(gone, StoreError::NoBlob { .. }), "{gone}");
    }

    #[test]
    fn weights_of_other_programs_are_known_by_their_content() {
        let world = World::new();
        let digest = sent(&world.store, b"GGUF....");
        let path = "model.onnx".to_owned();
        let from = Origin::Files(vec![Part { path, digest }]);
        let changes = Changes::default();
        let refused = world.store.derive(&from, &named("x"), changes, &[], false);
        assert!(refused.unwrap_err().to_string().contains("ONNX"));
    }

    #[test]
    fn names_are_held_to_the_same_rules_as_imports() {
        let world = World::new();
        let builtin = world.found("builtin/helper");
        world.derive(&builtin, "mine", Changes::default()).unwrap();
        for name in ["builtin/mine", "MINE"] {
            assert!(
                world.derive(&builtin, name, Changes::default()).is_err(),
                "{name}"
            );
        }
    }
}
