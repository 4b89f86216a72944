use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::figures::Memory;
use super::*;

const GIB: u64 = 1 << 30;
/// Longer than anything takes on a busy machine.
const ENDLESS: Patience = Patience {
    answer: Duration::from_secs(3600),
    let_go: Duration::from_secs(3600),
};

fn answer(free_bytes: u64) -> Answer {
    Answer {
        version: "580.1".to_owned(),
        gpus: vec![Figures {
            name: "Test".to_owned(),
            memory: Ok(Memory {
                total_bytes: 8 * GIB,
                free_bytes,
            }),
            compute_capability: Some((9, 0)),
            processes: vec![(7, GIB)],
        }],
    }
}

/// Answers once, then vanishes; opened anew it answers again.
#[derive(Default)]
struct Vanishing {
    asked: bool,
}

impl Driver for Vanishing {
    fn ask(&mut self) -> Result<Answer, Refusal> {
        if self.asked {
            return Err(Refusal::Failed("the GPU fell off the bus".to_owned()));
        }
        self.asked = true;
        Ok(answer(5 * GIB))
    }
}

#[test]
fn a_driver_that_vanishes_is_opened_again_later() {
    let mut nvidia = Nvidia::with(|| Box::new(Vanishing::default()), ENDLESS);
    let start = Instant::now();
    assert!(nvidia.ask(start).is_ok());
    assert!(matches!(nvidia.ask(start), Err(Refusal::Failed(_))));
    assert!(matches!(
        nvidia.ask(start + LOOK_AGAIN / 2),
        Err(Refusal::Failed(_))
    ));
    assert!(nvidia.ask(start + LOOK_AGAIN).is_ok());
}

#[test]
fn a_profile_asks_at_once_and_says_why_a_driver_fails() {
    let mut nvidia = Nvidia::with(|| Box::new(Vanishing::default()), ENDLESS);
    let found = nvidia.found();
    assert_eq!((found.gpus.len(), found.notes.len()), (1, 0));
    assert_eq!(found.gpus[0].device, Device::Cuda(0));
    assert_eq!(found.gpus[0].driver, "580.1");
    let found = nvidia.found();
    assert_eq!(found.gpus, []);
    assert_eq!(found.notes, ["the NVIDIA driver fails: the GPU fell off the bus"]);
    assert_eq!(nvidia.found().gpus.len(), 1);
}

static OPENED: AtomicU32 = AtomicU32::new(0);

struct Missing;

impl Driver for Missing {
    fn ask(&mut self) -> Result<Answer, Refusal> {
        Err(Refusal::Absent)
    }
}

#[test]
fn no_driver_is_normal_and_is_not_looked_for_all_the_time() {
    let open: Open = || {
        OPENED.fetch_add(1, Ordering::SeqCst);
        Box::new(Missing)
    };
    let mut nvidia = Nvidia::with(open, ENDLESS);
    let start = Instant::now();
    for _ in 0..10 {
        assert_eq!(nvidia.ask(start), Err(Refusal::Absent));
    }
    assert_eq!(OPENED.load(Ordering::SeqCst), 1);
    assert!(nvidia.thread.is_none());
    assert_eq!(nvidia.ask(start + LOOK_AGAIN), Err(Refusal::Absent));
    assert_eq!(OPENED.load(Ordering::SeqCst), 2);
    assert_eq!(nvidia.found().notes, Vec::<String>::new());
}

/// What the hanging driver waits for.
static RELEASE: Mutex<Option<Receiver<()>>> = Mutex::new(None);

struct Hanging(Option<Receiver<()>>);

impl Driver for Hanging {
    fn ask(&mut self) -> Result<Answer, Refusal> {
        if let Some(release) = self.0.take() {
            release.recv().ok();
        }
        Ok(answer(GIB))
    }
}

#[test]
fn a_driver_that_hangs_is_not_waited_for_and_may_come_back() {
    let (free, release) = sync_channel(0);
    *RELEASE.lock().unwrap() = Some(release);
    let open: Open = || Box::new(Hanging(RELEASE.lock().unwrap().take()));
    let mut thread = Thread::start(open, ENDLESS.let_go).unwrap();
    assert_eq!(thread.ask(Duration::ZERO), Err(Refusal::Hangs));
    assert_eq!(thread.ask(ENDLESS.answer), Err(Refusal::Hangs));
    drop(free);
    while thread.ask(ENDLESS.answer).is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn nonsense_is_noted_and_gives_no_reading() {
    struct Nonsense;
    impl Driver for Nonsense {
        fn ask(&mut self) -> Result<Answer, Refusal> {
            let mut answer = answer(u64::MAX);
            let broken = Memory {
                total_bytes: u64::MAX,
                free_bytes: 1,
            };
            answer.gpus.push(Figures {
                memory: Ok(broken),
                ..answer.gpus[0].clone()
            });
            answer.gpus.push(Figures {
                memory: Err(figures::Unknown::Shared),
                ..answer.gpus[0].clone()
            });
            Ok(answer)
        }
    }
    let mut nvidia = Nvidia::with(|| Box::new(Nonsense), ENDLESS);
    let readings = nvidia.readings(&[7]);
    assert_eq!(readings.len(), 1);
    assert_eq!(readings[0].0, Device::Cuda(0));
    assert_eq!(readings[0].1.available_bytes, 8 * GIB);
    let found = nvidia.found();
    assert_eq!(found.gpus.len(), 3);
    assert!(found.unified);
    assert_eq!(found.notes.len(), 2);
}
