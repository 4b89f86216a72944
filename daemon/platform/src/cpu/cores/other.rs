use airunner_core::cores::HardwareThread;

/// Not asked.
pub(super) const fn threads() -> Vec<HardwareThread> {
    Vec::new()
}
