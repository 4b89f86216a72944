/// What is asked of the processor itself has to do.
pub(super) const fn further_features() -> Option<&'static str> {
    None
}
