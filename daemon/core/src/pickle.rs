//! Files that hold programs in disguise.

/// Endings of such files: unpickling runs whatever they say.
const PICKLES: [&str; 9] = [
    "pt", "pth", "bin", "ckpt", "pkl", "pickle", "npz", "joblib", "dill",
];

/// Never taken, wherever it comes from.
#[must_use]
pub fn is_pickle(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| PICKLES.contains(&ending.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_known_by_their_endings() {
        for path in [
            "pytorch_model.bin",
            "a/b.PT",
            "x.ckpt",
            "x.pth",
            "x.npz",
            "x.pkl",
            "onnx/rotary.NPZ",
        ] {
            assert!(is_pickle(path), "{path}");
        }
        for path in [
            "model.onnx",
            "model.onnx_data",
            "config.json",
            "bin",
            "x.bin.json",
        ] {
            assert!(!is_pickle(path), "{path}");
        }
    }
}
