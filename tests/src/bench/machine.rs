//! Which machine this was.

/// Processor, number of processors, memory.
#[must_use]
pub fn describe() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned();
        line.split_once(':')
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let flags = field("/proc/cpuinfo", "flags");
    let vector = ["avx512_vnni", "avx512f", "avx_vnni", "avx2"]
        .into_iter()
        .find(|flag| flags.contains(flag));
    format!(
        "{} ({}), {processors} processors, {} of memory, {} {}",
        field("/proc/cpuinfo", "model name"),
        vector.unwrap_or("no vector extension known here"),
        field("/proc/meminfo", "MemTotal"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}
