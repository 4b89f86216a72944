//! No more bytes per second than the user wants to give.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// What may be taken at once after a pause, as a part of a second's share.
const BURST: f64 = 0.25;

/// A bucket of bytes that fills up at a steady rate; everybody who fetches takes from it.
#[derive(Debug)]
pub(super) struct Bandwidth {
    bytes_per_second: Option<f64>,
    /// When everything that was taken is paid for.
    paid: Mutex<Instant>,
}

impl Bandwidth {
    /// `None`: no limit.
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let bytes_per_second = bytes_per_second.map(|bytes| bytes as f64);
        Self {
            bytes_per_second,
            paid: Mutex::new(Instant::now()),
        }
    }

    /// Returns when so many bytes that were received have been paid for.
    pub(super) async fn take(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let price = Duration::from_secs_f64(bytes as f64 / rate);
        let burst = Duration::from_secs_f64(BURST);
        let until = {
            let mut paid = self.paid.lock().await;
            let now = Instant::now();
            *paid = paid.max(now.checked_sub(burst).unwrap_or(now)) + price;
            *paid
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_together_get_no_more_than_one() {
        let bandwidth = Arc::new(Bandwidth::new(Some(1_000_000)));
        let begin = Instant::now();
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let bandwidth = Arc::clone(&bandwidth);
                tokio::spawn(async move {
                    for _ in 0..100 {
                        bandwidth.take(10_000).await;
                    }
                })
            })
            .collect();
        for taker in takers {
            taker.await.unwrap();
        }
        let seconds = begin.elapsed().as_secs_f64();
        assert!((7.7..8.1).contains(&seconds), "8 MB at 1 MB/s took {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let begin = Instant::now();
        Bandwidth::new(None).take(usize::MAX).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
