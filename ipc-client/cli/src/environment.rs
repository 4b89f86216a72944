//! The environment variables this command looks at, read once.

use std::path::PathBuf;

#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `NO_COLOR` is set, or the terminal is `dumb`.
    pub(crate) plain: bool,
    /// `ORT_DYLIB_PATH`: where ONNX Runtime is, if somebody says so.
    pub(crate) onnxruntime_library: Option<PathBuf>,
}

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this program that reads the environment"
    )]
    pub(crate) fn read() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            plain: set("NO_COLOR").is_some() || set("TERM").is_some_and(|terminal| terminal == "dumb"),
            onnxruntime_library: set("ORT_DYLIB_PATH").map(PathBuf::from),
        }
    }
}
