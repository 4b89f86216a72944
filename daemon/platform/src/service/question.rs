//! Whether the user was asked to start at login. Nobody is asked twice.

use std::path::PathBuf;

use super::ServiceError;
use crate::places::Places;
use crate::private;

fn file(places: &Places) -> PathBuf {
    places.state.join("asked-to-start-at-login")
}

/// True from the first answer on, whatever it was.
#[must_use]
pub fn was_asked(places: &Places) -> bool {
    file(places).exists()
}

/// Remembers the answer.
pub fn remember_answer(places: &Places, yes: bool) -> Result<(), ServiceError> {
    let path = file(places);
    let answer = if yes { "yes\n" } else { "no\n" };
    private::create(&places.state)
        .and_then(|()| std::fs::write(&path, answer))
        .map_err(|source| ServiceError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_whatever_it_was() {
        for yes in [true, false] {
            let home = tempfile::tempdir().unwrap();
            let places = Places::under(home.path());
            assert!(!was_asked(&places));
            remember_answer(&places, yes).unwrap();
            assert!(was_asked(&places));
        }
    }
}
