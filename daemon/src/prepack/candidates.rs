//! For whom a copy could be made, and since when nothing stands against it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use airunner_core::ModelName;
use airunner_core::event::Event;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::{Cause, StateName};
use airunner_core::model::Model;
use tokio::time::Instant;

/// How long there has been nothing to do before a copy is made.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// The same before a copy that is there is used, which takes a moment; until then every answer is
/// slow.
const SOON: Duration = Duration::from_millis(100);

/// What a copy is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// The worker of a loaded model, by process.
    Worker(u32),
    /// A package that was installed in this life of the daemon and not loaded since.
    Package(ModelName),
}

/// A variant of a model.
type Variant = (ModelName, String);

#[derive(Debug, Default)]
pub(super) struct Candidates {
    quiet: HashMap<Subject, Instant>,
    /// Workers for whose model a copy was made or tried.
    tried: HashSet<u32>,
    /// Workers that were busy when the copy for their model was there.
    ready: HashSet<u32>,
    /// Packages that wait for their copy.
    installed: HashSet<ModelName>,
    /// Not tried again before the package is another.
    failed: HashSet<Variant>,
    /// Those whose worker was replaced by one from the copy: a copy that is not used after all
    /// must not be a reason to do it again and again.
    replaced: HashSet<Variant>,
}

impl Candidates {
    /// Takes note of packages that come and go.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::ModelChanged { model, cause, .. } if *cause == Cause::Installed => {
                self.forget(&model.name);
                self.installed.insert(model.name.clone());
            }
            Event::ModelRemoved(name) => self.forget(name),
            Event::ModelChanged { .. }
            | Event::MemoryChanged(_)
            | Event::DownloadChanged(_)
            | Event::ActivityChanged(_)
            | Event::ActivityEnded(_)
            | Event::NotificationChanged(_)
            | Event::PauseChanged(_)
            | Event::HttpChanged(_)
            | Event::ShuttingDown { .. } => {}
        }
    }

    fn forget(&mut self, name: &ModelName) {
        self.installed.remove(name);
        self.failed.retain(|(model, _)| model != name);
        self.replaced.retain(|(model, _)| model != name);
    }

    /// Takes note of who has something to do.
    pub(super) fn look(&mut self, models: &[Model], now: Instant) {
        let living: HashSet<u32> = models.iter().filter_map(pid).collect();
        self.tried.retain(|pid| living.contains(pid));
        self.ready.retain(|pid| living.contains(pid));
        // What is loaded is known by its worker from then on.
        let unloaded: HashSet<&ModelName> = models
            .iter()
            .filter(|model| model.state == StateName::Unloaded)
            .map(|model| &model.name)
            .collect();
        let is_calm = models.iter().all(is_calm);
        if is_calm {
            self.installed.retain(|name| unloaded.contains(name));
        }
        let loaded = models.iter().filter(|model| self.wants_copy(model));
        let mut waiting: HashSet<Subject> = loaded.filter_map(pid).map(Subject::Worker).collect();
        if is_calm {
            waiting.extend(self.installed.iter().cloned().map(Subject::Package));
        }
        self.quiet.retain(|subject, _| waiting.contains(subject));
        for subject in waiting {
            self.quiet.entry(subject).or_insert(now);
        }
    }

    fn wants_copy(&self, model: &Model) -> bool {
        let Some(instance) = &model.instance else {
            return false;
        };
        model.state == StateName::Loaded
            && instance.device == Device::Cpu.to_string()
            && !instance.prepacked
            && instance.active_requests == 0
            && !self.tried.contains(&instance.pid)
            && !self
                .failed
                .contains(&(model.name.clone(), instance.variant.clone()))
    }

    /// When the first of them has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = self
            .quiet
            .iter()
            .map(|(subject, since)| self.due_of(subject, *since));
        due.min()
    }

    fn due_of(&self, subject: &Subject, since: Instant) -> Instant {
        match subject {
            Subject::Worker(pid) if self.ready.contains(pid) => since + SOON,
            Subject::Worker(_) | Subject::Package(_) => since + QUIET,
        }
    }

    /// The one that is due first; it does not come again.
    pub(super) fn take(&mut self) -> Option<Subject> {
        let due = |(subject, since): &(&Subject, &Instant)| self.due_of(subject, **since);
        let (chosen, _) = self.quiet.iter().min_by_key(due)?;
        let chosen = chosen.clone();
        self.quiet.remove(&chosen);
        let _ = match &chosen {
            Subject::Worker(pid) => self.tried.insert(*pid),
            Subject::Package(name) => self.installed.remove(name),
        };
        Some(chosen)
    }

    pub(super) fn failed(&mut self, model: ModelName, variant: String) {
        self.failed.insert((model, variant));
    }

    /// Whether the copy for this worker's model is there already.
    pub(super) fn is_ready(&self, pid: u32) -> bool {
        self.ready.contains(&pid)
    }

    /// The worker was busy when it was to be replaced: it comes again when it is not.
    pub(super) fn postpone(&mut self, model: ModelName, variant: String, pid: u32) {
        self.tried.remove(&pid);
        self.ready.insert(pid);
        self.replaced.remove(&(model, variant));
    }

    /// Whether its worker may be replaced: once.
    pub(super) fn replace_once(&mut self, model: ModelName, variant: String) -> bool {
        self.replaced.insert((model, variant))
    }
}

/// Nothing is computed or loaded, and nobody waits.
fn is_calm(model: &Model) -> bool {
    let is_still = match model.state {
        StateName::Unloaded | StateName::Loaded => true,
        StateName::Loading | StateName::Busy | StateName::Unloading => false,
    };
    is_still && model.waiting_requests == 0
}

pub(super) fn pid(model: &Model) -> Option<u32> {
    model.instance.as_ref().map(|instance| instance.pid)
}

#[cfg(test)]
mod tests {
    use airunner_core::model::{Instance, ModelKind, Source};

    use super::*;

    fn name(name: &str) -> ModelName {
        ModelName::new(name).unwrap()
    }

    fn model(called: &str, state: StateName, pid: u32) -> Model {
        Model {
            name: name(called),
            kind: ModelKind::Llm,
            state,
            size_bytes: 1,
            source: Source::Builtin,
            instance: (state != StateName::Unloaded).then(|| Instance {
                pid,
                device: "cpu".to_owned(),
                variant: "x".to_owned(),
                ..Instance::default()
            }),
            last_unload_reason: None,
            waiting_requests: 0,
        }
    }

    fn installs(model: &Model) -> Event {
        Event::ModelChanged {
            model: Box::new(model.clone()),
            from: StateName::Unloaded,
            cause: Cause::Installed,
            message: String::new(),
        }
    }

    #[test]
    fn a_worker_without_a_copy_is_chosen_once_when_it_was_idle_long_enough() {
        let mut candidates = Candidates::default();
        let start = Instant::now();
        let later = start + Duration::from_secs(3);
        candidates.look(&[model("a", StateName::Loaded, 7)], start);
        candidates.look(&[model("a", StateName::Loaded, 7)], later);
        assert_eq!(candidates.due(), Some(start + QUIET));
        candidates.look(&[model("a", StateName::Busy, 7)], later);
        assert_eq!(candidates.due(), None);
        candidates.look(&[model("a", StateName::Loaded, 7)], later);
        assert_eq!(candidates.due(), Some(later + QUIET));
        assert_eq!(candidates.take(), Some(Subject::Worker(7)));
        candidates.look(&[model("a", StateName::Loaded, 7)], later);
        assert_eq!(candidates.take(), None);
        candidates.look(&[model("a", StateName::Loaded, 8)], later);
        assert_eq!(candidates.take(), Some(Subject::Worker(8)));
    }

    #[test]
    fn one_from_a_copy_or_elsewhere_or_that_failed_is_left_alone() {
        let mut candidates = Candidates::default();
        candidates.failed(name("failed"), "x".to_owned());
        let mut packed = model("packed", StateName::Loaded, 1);
        packed.instance.as_mut().unwrap().prepacked = true;
        let mut elsewhere = model("elsewhere", StateName::Loaded, 2);
        elsewhere.instance.as_mut().unwrap().device = "cuda:0".to_owned();
        let failed = model("failed", StateName::Loaded, 3);
        candidates.look(&[packed, elsewhere, failed.clone()], Instant::now());
        assert_eq!(candidates.take(), None);
        candidates.hear(&installs(&failed));
        candidates.look(&[failed], Instant::now());
        assert_eq!(candidates.take(), Some(Subject::Worker(3)));
    }

    #[test]
    fn a_new_package_waits_until_nobody_has_anything_to_do() {
        let mut candidates = Candidates::default();
        let start = Instant::now();
        let fresh = model("new", StateName::Unloaded, 0);
        let old = model("old", StateName::Unloaded, 0);
        candidates.hear(&installs(&fresh));
        candidates.look(&[fresh.clone(), model("other", StateName::Loading, 1)], start);
        assert_eq!(candidates.due(), None);
        let wanted = Model {
            waiting_requests: 1,
            ..old.clone()
        };
        candidates.look(&[fresh.clone(), wanted], start);
        assert_eq!(candidates.due(), None);
        candidates.look(&[fresh.clone(), old.clone()], start + QUIET);
        assert_eq!(candidates.due(), Some(start + QUIET + QUIET));
        assert_eq!(candidates.take(), Some(Subject::Package(name("new"))));
        candidates.look(&[fresh, old], start + QUIET);
        assert_eq!(candidates.take(), None);
    }

    #[test]
    fn what_was_installed_before_or_is_gone_again_or_loaded_meanwhile_is_no_new_package() {
        let mut candidates = Candidates::default();
        let fresh = model("new", StateName::Unloaded, 0);
        candidates.look(std::slice::from_ref(&fresh), Instant::now());
        assert_eq!(candidates.take(), None);
        candidates.hear(&installs(&fresh));
        candidates.hear(&Event::ModelRemoved(name("new")));
        candidates.look(std::slice::from_ref(&fresh), Instant::now());
        assert_eq!(candidates.take(), None);
        candidates.hear(&installs(&fresh));
        candidates.look(&[model("new", StateName::Loaded, 5)], Instant::now());
        assert_eq!(candidates.take(), Some(Subject::Worker(5)));
        candidates.look(&[fresh], Instant::now());
        assert_eq!(candidates.take(), None);
    }

    #[test]
    fn a_worker_that_was_busy_when_its_copy_was_there_comes_again_when_it_is_not() {
        let mut candidates = Candidates::default();
        let start = Instant::now();
        let (idle, busy) = (model("a", StateName::Loaded, 7), model("a", StateName::Busy, 7));
        candidates.look(std::slice::from_ref(&idle), start);
        assert_eq!(candidates.take(), Some(Subject::Worker(7)));
        assert!(!candidates.is_ready(7));
        assert!(candidates.replace_once(name("a"), "x".to_owned()));
        candidates.postpone(name("a"), "x".to_owned(), 7);
        let other = model("b", StateName::Loaded, 9);
        candidates.look(&[busy, other.clone()], start);
        assert_eq!(candidates.due(), Some(start + QUIET));
        candidates.look(&[idle, other], start + QUIET / 2);
        assert_eq!(candidates.due(), Some(start + QUIET / 2 + SOON));
        assert_eq!(candidates.take(), Some(Subject::Worker(7)));
        assert!(candidates.is_ready(7));
        assert!(candidates.replace_once(name("a"), "x".to_owned()));
        candidates.look(&[model("a", StateName::Loaded, 8)], start + QUIET);
        assert!(!candidates.is_ready(7), "another worker has its place");
    }

    #[test]
    fn a_worker_is_replaced_once_for_each_package() {
        let mut candidates = Candidates::default();
        assert!(candidates.replace_once(name("a"), "x".to_owned()));
        assert!(!candidates.replace_once(name("a"), "x".to_owned()));
        assert!(candidates.replace_once(name("a"), "y".to_owned()));
        candidates.hear(&Event::ModelRemoved(name("a")));
        assert!(candidates.replace_once(name("a"), "x".to_owned()));
    }
}
