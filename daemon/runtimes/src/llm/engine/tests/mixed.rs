//! The engine where everything runs together, on blocks without a graph that notice whatever is
//! shared wrongly. What it answers is compared with what the same blocks answer when each
//! sequence runs by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use airunner_core::generate::ClientId;

use super::*;
use crate::llm::kv::paged::fake::{FakePages, Record};
use crate::llm::kv::paged::{BLOCK_TOKENS, Paged};

const VOCABULARY: usize = 200;
const CONTEXT: usize = 2048;

/// The same storage, each sequence by itself.
struct Separate(Paged<FakePages>);

impl Cache for Separate {
    fn batch_limit(&self) -> usize {
        1
    }

    fn extend(&mut self, model: &mut Model, slot: usize, tokens: &[u32]) -> Result<Logits, ComputeError> {
        self.0.extend(model, slot, tokens)
    }

    fn decode(&mut self, model: &mut Model, rows: &[(usize, u32)]) -> Result<Logits, ComputeError> {
        self.0.decode(model, rows)
    }

    fn truncate(&mut self, slot: usize, length: usize) -> Result<(), ComputeError> {
        self.0.truncate(slot, length)
    }

    fn release(&mut self) {
        self.0.release();
    }

    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError> {
        self.0.copy(from, to, length)
    }
}

struct Mixing {
    bench: Bench,
    record: Arc<Mutex<Record>>,
}

#[derive(Clone)]
struct Ask {
    prompt: String,
    limit: usize,
    temperature: f32,
    priority: Priority,
    client: u32,
    is_private: bool,
}

fn ask(prompt: &str, limit: usize) -> Ask {
    Ask {
        prompt: prompt.to_owned(),
        limit,
        temperature: 0.0,
        priority: Priority::Api,
        client: 1,
        is_private: false,
    }
}

#[path = "spilled.rs"]
mod spilled;

fn start(patience: Patience, slots: usize, cache: Box<dyn Cache>) -> Bench {
    let (_, model, text) = open("llama-gqa");
    let options = EngineOptions {
        parallel_requests: slots,
        queue_length: 12,
        prompt_chunk: 64,
    };
    Bench {
        engine: Engine::start_patient(model, cache, options, patience).unwrap(),
        text,
    }
}

fn mixing_with(patience: Patience, slots: usize, blocks: Option<usize>) -> Mixing {
    let (pages, record) = FakePages::new(VOCABULARY);
    let cache: Box<dyn Cache> = match blocks {
        Some(blocks) => Box::new(Paged::with_blocks(pages, slots, blocks)),
        None => Box::new(Paged::new(pages, slots, CONTEXT, usize::MAX)),
    };
    let bench = start(patience, slots, cache);
    Mixing { bench, record }
}

fn mixing(slots: usize) -> Mixing {
    mixing_with(ENDLESS, slots, None)
}

impl Mixing {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All at once; what each of them was told, in order.
    fn ask_all(&self, asks: &[Ask]) -> Vec<Vec<Result<GenerateEvent, Fault>>> {
        // Nothing runs while the record is held: all are there before the first has begun.
        let held = self.record();
        let receivers: Vec<_> = asks.iter().map(|one| self.bench.ask(one)).collect();
        drop(held);
        let readers: Vec<_> = receivers
            .into_iter()
            .map(|receiver| std::thread::spawn(|| read(receiver)))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    }
}

impl Bench {
    fn tokens(&self, prompt: &str) -> Vec<u32> {
        let input = Input::Raw(prompt.to_owned());
        self.text.prompt(&input, CONTEXT).unwrap().tokens
    }

    fn ask(&self, ask: &Ask) -> Receiver<Result<GenerateEvent, Fault>> {
        let ticket = self.engine.ticket().unwrap();
        let input = Input::Raw(ask.prompt.clone());
        let mut request = GenerateRequest::new(ModelName::new("x").unwrap(), input);
        request.priority = ask.priority;
        let prompt = self.text.prompt(&request.input, CONTEXT).unwrap();
        let sampling = Sampling {
            temperature: Some(ask.temperature),
            seed: Some(7),
            ..Sampling::default()
        };
        let work = Work {
            sampler: Sampler::new(&sampling, Some(0), 1, &prompt.tokens),
            output: self.text.output(&request, &prompt, 1),
            prompt: prompt.tokens,
            constraint: None,
            limit: ask.limit,
            client: ClientId::program(ask.client),
            is_private: ask.is_private,
            priority: request.priority,
            arrived: Instant::now(),
        };
        self.engine.submit(ticket, work).unwrap()
    }
}

/// What the same storage answers without company.
fn expected(asks: &[Ask]) -> Vec<String> {
    let (pages, _) = FakePages::new(VOCABULARY);
    let bench = start(
        ENDLESS,
        1,
        Box::new(Separate(Paged::new(pages, 1, CONTEXT, usize::MAX))),
    );
    let answer = |one| text_of(&read(bench.ask(one)));
    asks.iter().map(answer).collect()
}

fn texts(answers: &[Vec<Result<GenerateEvent, Fault>>]) -> Vec<String> {
    answers.iter().map(|events| text_of(events)).collect()
}

fn text_of(events: &[Result<GenerateEvent, Fault>]) -> String {
    let piece = |event: &Result<GenerateEvent, Fault>| match event {
        Ok(GenerateEvent::Text(delta)) => Some(delta.text.clone()),
        Ok(_) => None,
        Err(fault) => panic!("{fault}"),
    };
    events.iter().filter_map(piece).collect()
}

fn cached(events: &[Result<GenerateEvent, Fault>]) -> u32 {
    match events.last() {
        Some(Ok(GenerateEvent::Done(done))) => done.usage.cached_tokens,
        Some(_) | None => panic!("it is not done"),
    }
}

fn long(beginning: &str, times: usize) -> String {
    format!("{beginning} {}", "the quick brown fox ".repeat(times))
}

#[test]
fn company_changes_no_answer() {
    let mut asks = vec![
        ask("the", 40),
        ask(&long("a fox", 30), 20),
        ask(&long("a fox", 12), 30),
        ask("a", 50),
        ask(&long("b", 25), 10),
    ];
    asks[2].temperature = 1.0;
    let mixing = mixing(3);
    let answers = mixing.ask_all(&asks);
    assert_eq!(texts(&answers), expected(&asks));
    assert!(
        mixing
            .record()
            .runs
            .iter()
            .any(|&(rows, sequences)| sequences > 1 && rows > sequences),
        "prompts and decodes shared runs"
    );
}

#[test]
fn too_little_room_for_all_changes_no_answer() {
    let asks: Vec<Ask> = (0..6)
        .map(|one| ask(&long(&"a".repeat(one), 4 + 3 * one), 70))
        .collect();
    let mixing = mixing_with(ENDLESS, 4, None);
    let longest = asks
        .iter()
        .map(|one| mixing.bench.tokens(&one.prompt).len() + one.limit);
    let blocks = longest.max().unwrap().div_ceil(BLOCK_TOKENS) + 1;
    drop(mixing);
    let mixing = mixing_with(ENDLESS, 4, Some(blocks));
    let answers = mixing.ask_all(&asks);
    assert_eq!(texts(&answers), expected(&asks));
    assert_eq!(mixing.record().touched, blocks, "all there is was needed");
}

#[test]
fn a_beginning_is_computed_once_for_all_who_come_together() {
    let prompt = long("a system prompt", 60);
    let asks: Vec<Ask> = (0..8).map(|one| ask(&format!("{prompt} {one}"), 3)).collect();
    let mixing = mixing(4);
    let length = mixing.bench.tokens(&prompt).len();
    let answers = mixing.ask_all(&asks);
    assert_eq!(texts(&answers), expected(&asks));
    let rows: usize = mixing.record().runs.iter().map(|run| run.0).sum();
    let own = 8 * (BLOCK_TOKENS + 3 * 9);
    assert!(rows <= length + own, "{rows} rows for {length} tokens");
}

#[test]
fn the_next_turn_goes_on_where_the_last_one_ended() {
    let mixing = mixing(1);
    let prompt = long("a chat", 20);
    let first = read(mixing.bench.ask(&ask(&prompt, 12)));
    let next = format!("{prompt}{}", text_of(&first));
    let (old, new) = (
        mixing.bench.tokens(&prompt).len(),
        mixing.bench.tokens(&next).len(),
    );
    let second = read(mixing.bench.ask(&ask(&next, 5)));
    let cached = cached(&second) as usize;
    assert!(cached >= old && cached < new, "{cached} of {new}, {old} before");
    assert_eq!(text_of(&second), expected(&[ask(&next, 5)])[0]);
}

#[test]
fn guesses_change_no_answer() {
    for temperature in [0.0, 0.7] {
        let asks = [Ask {
            temperature,
            ..ask("the", 400)
        }];
        let mixing = mixing(1);
        assert_eq!(texts(&mixing.ask_all(&asks)), expected(&asks));
        let is_guessed = |run: &&(usize, usize)| run.0 > 1;
        let guessed = mixing.record().runs.iter().skip(1).filter(is_guessed).count();
        assert!(guessed > 5, "{guessed} runs with guesses");
        assert!(mixing.record().runs.len() < 400, "some were right");
    }
}

#[test]
fn a_person_does_not_wait_for_what_nobody_watches() {
    let mixing = mixing(1);
    let background = Ask {
        priority: Priority::Background,
        ..ask(&long("later", 10), 60)
    };
    // It has the only place, and nobody reads it: it would never give the place up by itself.
    let unread = mixing.bench.ask(&background);
    let person = Ask {
        priority: Priority::Interactive,
        ..ask("the", 5)
    };
    let answer = read(mixing.bench.ask(&person));
    assert_eq!(text_of(&answer), expected(&[person])[0]);
    assert_eq!(text_of(&read(unread)), expected(&[background])[0]);
}

#[test]
fn who_asks_much_does_not_hold_up_who_asks_once() {
    let mixing = mixing(1);
    let held = mixing.record();
    let endless: Vec<_> = (0..5).map(|_| mixing.bench.ask(&ask("a", 1900))).collect();
    let other = Ask {
        client: 2,
        ..ask(&long("another one", 12), 5)
    };
    let once = mixing.bench.ask(&other);
    drop(held);
    let readers: Vec<_> = endless
        .into_iter()
        .map(|receiver| std::thread::spawn(|| read(receiver)))
        .collect();
    let told = read(once);
    let is_behind = |event: &Result<GenerateEvent, Fault>| match event {
        Ok(GenerateEvent::Queued(queued)) => queued.position > 0,
        Ok(_) | Err(_) => false,
    };
    assert!(!told.iter().any(is_behind), "next, before four that came earlier");
    assert_eq!(text_of(&told), expected(&[other])[0]);
    // Nothing else has so many rows: the prompts are short, and so is what comes back.
    let began = mixing.record().runs.iter().position(|run| run.0 > 40);
    let steps = began.expect("its prompt was read");
    assert!(steps < 100, "after one slice of the first answer: {steps} steps");
    drop(mixing);
    for reader in readers {
        drop(reader.join().unwrap());
    }
}

#[test]
fn readers_who_do_not_read_hold_up_nobody() {
    for class in Priority::ALL {
        let mixing = mixing(2);
        let stalls = |client| Ask {
            client,
            priority: Priority::Interactive,
            ..ask(&long("nobody reads", 8), 60)
        };
        // Of several clients, and again when the first have given way.
        let stalled: Vec<_> = (3..8).map(|client| mixing.bench.ask(&stalls(client))).collect();
        let awake = Ask {
            priority: class,
            ..ask("the", 30)
        };
        let answer = read(mixing.bench.ask(&awake));
        assert_eq!(text_of(&answer), expected(&[awake])[0]);
        for receiver in stalled {
            assert_eq!(text_of(&read(receiver)), expected(&[stalls(3)])[0]);
        }
    }
}

#[test]
fn who_gave_way_unread_is_given_up_in_the_end() {
    let mixing = mixing_with(QUICK, 1, None);
    let stalled = mixing.bench.ask(&ask(&long("nobody reads", 8), 400));
    drop(read(mixing.bench.ask(&ask("the", 30))));
    while mixing
        .bench
        .engine
        .taken
        .load(std::sync::atomic::Ordering::Acquire)
        > 0
    {
        std::thread::yield_now();
    }
    let last = read(stalled).pop().unwrap();
    assert_eq!(last.unwrap_err().kind, ErrorKind::ClientStalled);
}

#[test]
fn a_failed_run_is_told_and_the_next_one_works() {
    let mixing = mixing(2);
    mixing.record().fails = true;
    let failed = mixing.ask_all(&[ask("the", 5), ask("a", 5)]);
    for events in failed {
        assert!(events.last().unwrap().is_err());
    }
    mixing.record().fails = false;
    let asks = [ask("the", 5)];
    assert_eq!(texts(&mixing.ask_all(&asks)), expected(&asks));
}

#[test]
fn who_finds_no_memory_is_told_and_the_next_one_does() {
    let mixing = mixing(2);
    mixing.record().lacks_memory = true;
    for events in mixing.ask_all(&[ask("the", 5), ask(&long("a", 30), 5)]) {
        let fault = events.last().unwrap().as_ref().unwrap_err();
        assert_eq!(fault.kind, ErrorKind::OutOfMemory, "{fault}");
        assert!(fault.message.contains("keys and values"), "{fault}");
    }
    mixing.record().lacks_memory = false;
    let asks = [ask("the", 5), ask(&long("a", 30), 5)];
    assert_eq!(texts(&mixing.ask_all(&asks)), expected(&asks));
}

#[test]
fn a_trim_gives_all_memory_back() {
    let mixing = mixing(2);
    drop(read(mixing.bench.ask(&ask(&long("a chat", 20), 12))));
    mixing.bench.engine.trim().unwrap();
    assert_eq!(mixing.record().blocks, 0);
    let asks = [ask("the", 5)];
    assert_eq!(texts(&mixing.ask_all(&asks)), expected(&asks));
}

#[test]
fn readers_that_leave_free_everything() {
    let mixing = mixing(2);
    let asks: Vec<Ask> = (0..5).map(|one| ask(&long("gone", one), 2000)).collect();
    let mut receivers: Vec<_> = asks.iter().map(|one| mixing.bench.ask(one)).collect();
    receivers[0].blocking_recv().unwrap().unwrap();
    drop(receivers);
    let answer = read(mixing.bench.ask(&ask("the", 5)));
    assert_eq!(finish_reason(&answer), Some(FinishReason::Length));
    while mixing
        .bench
        .engine
        .taken
        .load(std::sync::atomic::Ordering::Acquire)
        > 0
    {
        std::thread::yield_now();
    }
}
