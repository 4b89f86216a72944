//! Compiles the `.proto` files without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PUBLIC: [&str; 10] = [
        "airunner/v1/common.proto",
        "airunner/v1/control.proto",
        "airunner/v1/models.proto",
        "airunner/v1/llm.proto",
        "airunner/v1/downloads.proto",
        "airunner/v1/catalog.proto",
        "airunner/v1/hardware.proto",
        "airunner/v1/keys.proto",
        "airunner/v1/notifications.proto",
        "airunner/v1/settings.proto",
    ];
    const WORKER: &str = "airunner/worker/v1/worker.proto";
    println!("cargo:rerun-if-changed=proto");
    let public = protox::compile(PUBLIC, ["proto"])?;
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo names a build script's output folder this way"
    )]
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&public),
    )?;
    tonic_prost_build::configure()
        .compile_fds(protox::compile(PUBLIC.into_iter().chain([WORKER]), ["proto"])?)?;
    Ok(())
}
