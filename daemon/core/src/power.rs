//! Whether the machine should stay awake.

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerRules {
    /// No sleep while there is something to do.
    pub inhibit_sleep: bool,
    /// What is idle goes when the machine runs on battery.
    pub unload_on_battery: bool,
}

/// How things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerState {
    /// Somebody waits for an answer, or for the model that is to give it.
    pub answering: bool,
    /// Something goes on that nobody sits before: a download, a model that is made.
    pub working: bool,
    /// `None`: there is no battery, or nobody knows.
    pub on_battery: Option<bool>,
}

/// What the machine stays awake for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwakeFor {
    Answer,
    Work,
}

impl AwakeFor {
    /// As the system shows it.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Answer => "answering a request",
            Self::Work => "downloading or making a model",
        }
    }
}

impl PowerRules {
    /// What the machine is to stay awake for. A battery is not emptied for what can go on later.
    #[must_use]
    pub const fn awake_for(self, state: PowerState) -> Option<AwakeFor> {
        match (self.inhibit_sleep, state.answering, state.working) {
            (false, _, _) | (true, false, false) => None,
            (true, true, _) => Some(AwakeFor::Answer),
            (true, false, true) => match state.on_battery {
                Some(true) => None,
                Some(false) | None => Some(AwakeFor::Work),
            },
        }
    }

    /// Whether what is idle goes now that the battery is used, or the rule is another one.
    #[must_use]
    pub const fn unloads(self, on_battery: Option<bool>) -> bool {
        self.unload_on_battery && matches!(on_battery, Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_stays_awake_for_answers_and_on_mains_for_work() {
        let rules = PowerRules {
            inhibit_sleep: true,
            unload_on_battery: false,
        };
        for (answering, working, on_battery, expected) in [
            (false, false, None, None),
            (true, false, None, Some(AwakeFor::Answer)),
            (true, true, Some(true), Some(AwakeFor::Answer)),
            (false, true, None, Some(AwakeFor::Work)),
            (false, true, Some(false), Some(AwakeFor::Work)),
            (false, true, Some(true), None),
        ] {
            let state = PowerState {
                answering,
                working,
                on_battery,
            };
            assert_eq!(rules.awake_for(state), expected, "{state:?}");
            let never = PowerRules {
                inhibit_sleep: false,
                ..rules
            };
            assert_eq!(never.awake_for(state), None);
        }
    }

    #[test]
    fn a_battery_unloads_only_if_that_is_wanted() {
        for (wanted, on_battery, expected) in [
            (true, Some(true), true),
            (true, Some(false), false),
            (true, None, false),
            (false, Some(true), false),
        ] {
            let rules = PowerRules {
                inhibit_sleep: true,
                unload_on_battery: wanted,
            };
            assert_eq!(rules.unloads(on_battery), expected);
        }
    }
}
