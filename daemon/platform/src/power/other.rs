//! Nothing is known.

use super::PowerEvent;

#[derive(Debug)]
pub(super) struct Awake;

#[derive(Debug)]
pub(super) struct Power;

impl Power {
    pub(super) async fn connect() -> Self {
        std::future::ready(Self).await
    }

    pub(super) async fn stay_awake(&self, _why: &str) -> Option<Awake> {
        std::future::ready(None).await
    }

    pub(super) async fn on_battery(&self) -> Option<bool> {
        std::future::ready(None).await
    }

    pub(super) async fn next(&mut self) -> PowerEvent {
        std::future::pending().await
    }
}
