//! What others would load: somebody who knows the future, and somebody who does not look.

use std::collections::BTreeMap;

/// Loads that serving the requests in the order of their arrival takes at least if `places`
/// models fit: what is not needed for the longest time goes (Belady).
pub(crate) fn loads(requests: &[usize], places: usize) -> usize {
    let mut next_use = vec![usize::MAX; requests.len()];
    let mut seen = BTreeMap::new();
    for (index, model) in requests.iter().enumerate().rev() {
        next_use[index] = seen.insert(model, index).unwrap_or(usize::MAX);
    }
    let mut there: BTreeMap<usize, usize> = BTreeMap::new();
    let mut loads = 0;
    for (index, model) in requests.iter().enumerate() {
        if !there.contains_key(model) {
            loads += 1;
            if there.len() == places
                && let Some(last) = there
                    .iter()
                    .max_by_key(|(_, next)| **next)
                    .map(|(model, _)| *model)
            {
                there.remove(&last);
            }
        }
        there.insert(*model, next_use[index]);
    }
    loads
}

/// Loads of somebody who serves the requests one by one in the order of their arrival, and
/// unloads what was not used for the longest time.
pub(crate) fn one_by_one(requests: &[usize], places: usize) -> usize {
    let mut there: Vec<usize> = Vec::new();
    let mut loads = 0;
    for model in requests {
        let before = there.len();
        there.retain(|other| other != model);
        if there.len() == before {
            loads += 1;
            if before == places {
                there.remove(0);
            }
        }
        there.push(*model);
    }
    loads
}
