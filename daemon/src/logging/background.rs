//! A thread that writes lines which others must not wait for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const CAPACITY: usize = 4096;
/// How long the end of the program waits for lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where lines end up. A line that fails is lost.
pub(super) trait Sink: Send + 'static {
    fn line(&mut self, line: &[u8]) -> io::Result<()>;
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes lines and returns at once.
#[derive(Clone)]
pub(super) struct Background {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Background {
    pub(super) fn start(name: &str, sink: impl Sink) -> (Self, Guard) {
        let (sender, receiver) = sync_channel(CAPACITY);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        // Without the thread every line counts as lost, which is the best that can be done then.
        let started = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_all(&receiver, &counter, sink));
        drop(started);
        let writer = Self { sender, lost };
        (writer.clone(), Guard(writer))
    }
}

/// Waits until what was logged is written.
pub(super) struct Guard(Background);

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.0.sender.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl io::Write for Background {
    /// One call is one line, which is how the formatter writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.sender.try_send(Message::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Background {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn write_all(receiver: &Receiver<Message>, lost: &AtomicU64, mut sink: impl Sink) {
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Line(line) => write(&mut sink, &line, lost),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

fn write(sink: &mut impl Sink, line: &[u8], lost: &AtomicU64) {
    let before = lost.swap(0, Ordering::Relaxed);
    let mut missing = before + u64::from(sink.line(line).is_err());
    // Only a sink that works again can say what it lost.
    if before > 0 && missing == before && sink.line(notice(before).as_bytes()).is_ok() {
        missing = 0;
    }
    lost.fetch_add(missing, Ordering::Relaxed);
}

fn notice(lost: u64) -> String {
    let time = jiff::Timestamp::now();
    format!("{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{lost} log lines were lost\"}}\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Mutex, MutexGuard};

    use super::*;

    /// Fails while `broken`, remembers what got through.
    #[derive(Clone, Default)]
    struct Memory {
        broken: Arc<AtomicBool>,
        lines: Arc<Mutex<Vec<String>>>,
    }

    impl Memory {
        fn lines(&self) -> MutexGuard<'_, Vec<String>> {
            self.lines.lock().unwrap()
        }
    }

    impl Sink for Memory {
        fn line(&mut self, line: &[u8]) -> io::Result<()> {
            if self.broken.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.lines().push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        }
    }

    /// As the guard does it, but however long the thread takes to come to it.
    fn flush(writer: &Background) {
        let (done, written) = sync_channel(1);
        writer.sender.send(Message::Flush(done)).unwrap();
        written.recv().unwrap();
    }

    #[test]
    fn lines_of_a_broken_sink_are_counted_and_reported_once_it_works() {
        let memory = Memory::default();
        let (mut writer, _guard) = Background::start("test", memory.clone());
        memory.broken.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            writer.write_all(b"lost\n").unwrap();
        }
        flush(&writer);
        memory.broken.store(false, Ordering::Relaxed);
        writer.write_all(b"kept\n").unwrap();
        writer.write_all(b"more\n").unwrap();
        flush(&writer);
        let lines = memory.lines().clone();
        assert_eq!(
            (lines[0].as_str(), lines[2].as_str(), lines.len()),
            ("kept\n", "more\n", 3)
        );
        assert!(lines[1].contains("3 log lines were lost"), "{}", lines[1]);
    }

    #[test]
    fn a_sink_that_hangs_does_not_block() {
        struct Hanging {
            reached: SyncSender<()>,
            hold: Receiver<()>,
        }
        impl Sink for Hanging {
            fn line(&mut self, _line: &[u8]) -> io::Result<()> {
                let _ = self.reached.try_send(());
                let _ = self.hold.recv();
                Ok(())
            }
        }
        let (reached, hangs) = sync_channel(1);
        let (release, hold) = sync_channel(1);
        let (mut writer, guard) = Background::start("test", Hanging { reached, hold });
        writer.write_all(b"line\n").unwrap();
        hangs.recv().unwrap();
        // The thread holds one line and takes no other before it is released.
        for _ in 0..CAPACITY + 3 {
            writer.write_all(b"line\n").unwrap();
        }
        assert_eq!(writer.lost.load(Ordering::Relaxed), 3);
        drop(release);
        drop(guard);
    }
}
