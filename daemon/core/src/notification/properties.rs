//! What holds for whatever waits, in whatever order things happen.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::time::Moment;

fn at(seconds: u64) -> Moment {
    Moment::since_start(Duration::from_secs(seconds))
}

proptest! {
    /// One that waits is shown, once, as soon as it is not quiet and the pace allows; and the pace
    /// is kept.
    #[test]
    fn whatever_waits_is_shown_once_and_at_the_pace_that_is_allowed(
        arrivals in proptest::collection::vec(0_u64..300, 0..60),
        quiet_from in 0_u64..300,
        quiet_for in 0_u64..200,
    ) {
        let mut allowance = Allowance::new(at(0));
        let mut due: Vec<Waiting> = Vec::new();
        let mut appeared: Vec<(u64, Vec<NotificationId>)> = Vec::new();
        for second in 0..700 {
            let ids = (1_u64..).zip(&arrivals).filter(|(_, arrival)| **arrival == second);
            due.extend(ids.map(|(id, _)| Waiting { id: NotificationId(id), at_once: false }));
            let quiet = (quiet_from..quiet_from + quiet_for).contains(&second);
            let plan = plan(&due, quiet, &mut allowance, at(second));
            let shown: Vec<NotificationId> = plan.show.iter().chain(&plan.together).copied().collect();
            prop_assert!(!quiet || shown.is_empty());
            due.retain(|one| !shown.contains(&one.id));
            prop_assert_eq!(plan.again_in.is_some(), !quiet && !due.is_empty());
            appeared.extend(plan.show.iter().map(|id| (second, vec![*id])));
            if !plan.together.is_empty() {
                prop_assert!(plan.together.len() > FEW);
                appeared.push((second, plan.together));
            }
        }
        prop_assert!(due.is_empty(), "{due:?}");
        let mut all: Vec<NotificationId> = appeared.iter().flat_map(|(_, ids)| ids.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(all.len(), arrivals.len());
        all.dedup();
        prop_assert_eq!(all.len(), arrivals.len());
        for (index, (first, _)) in appeared.iter().enumerate() {
            for (count, (last, _)) in (1_u64..).zip(&appeared[index..]) {
                prop_assert!(count <= u64::from(Allowance::MOST) + (last - first) / Allowance::EVERY.as_secs());
            }
        }
    }

    /// Whatever a text holds, what is shown is bounded, on its lines, and steers nothing.
    #[test]
    fn no_text_gets_through_as_anything_but_text(title: String, body: String, label: String) {
        let made = NewNotification::new(NotificationKind::Test, &title, &body)
            .with(Action::new("key", &label, Command::Acknowledge));
        prop_assert!(made.title.chars().count() <= 120 && !made.title.contains(char::is_control));
        prop_assert!(made.body.chars().count() <= 400);
        prop_assert!(!made.body.contains(|character: char| character.is_control() && character != '\n'));
        prop_assert!(!made.actions[0].button.label.contains(char::is_control));
        let markup = escape_markup(&made.body);
        prop_assert!(!markup.contains(['<', '>', '"', '\'']));
        prop_assert_eq!(clean(&made.title, 120), made.title);
    }

    /// A command of any argument reads back.
    #[test]
    fn a_command_survives_being_written_down(argument: String) {
        let command = Command::ask("models", "load", argument);
        prop_assert_eq!(Command::parse(&command.to_string()), Some(command));
    }
}
