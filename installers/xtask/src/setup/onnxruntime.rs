//! ONNX Runtime's shared library: taken where it is, or fetched once and checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};

use crate::wheel::{self, Wheel};
use crate::workspace::Workspace;
use crate::{process, say};

const VERSION: &str = "1.31.1";
/// Oldest minor version of ONNX Runtime 1 whose interface the programs can use.
const OLDEST_MINOR: u32 = 31;

/// The library of one platform: operating system and processor as Rust names them.
struct Build {
    system: &'static str,
    processor: &'static str,
    wheel: Wheel,
}

const fn build(
    (system, processor): (&'static str, &'static str),
    platform: &'static str,
    member: &'static str,
    sha256: &'static str,
) -> Build {
    Build {
        system,
        processor,
        wheel: Wheel {
            package: "onnxruntime",
            version: VERSION,
            platform,
            member,
            sha256,
        },
    }
}

const BUILDS: [Build; 5] = [
    build(
        ("linux", "x86_64"),
        "manylinux_2_28_x86_64",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
    ),
    build(
        ("linux", "aarch64"),
        "manylinux_2_28_aarch64",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
    ),
    build(
        ("macos", "aarch64"),
        "macosx_14_0_arm64",
        "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        "f8b06155feece624e55e49124340eea279da812529ae6fbc46a9f2be9c9cad2e",
    ),
    build(
        ("windows", "x86_64"),
        "win_amd64",
        "onnxruntime/capi/onnxruntime.dll",
        "8482d2ee174e28504f99730fb01d6861575870283de4ed3a897ad39170d9a9b9",
    ),
    build(
        ("windows", "aarch64"),
        "win_arm64",
        "onnxruntime/capi/onnxruntime.dll",
        "f4f7729bf4aa0c78b6ab5253747f3593bb9a28b4c4275a0a9f59f04ea580d61f",
    ),
];

/// Makes sure that the programs find a library: named by `ORT_DYLIB_PATH`, or staged under
/// the build directory where `<executable>/../lib/airunner` leads.
pub(super) fn stage(workspace: &Workspace) -> anyhow::Result<()> {
    if let Some(path) = &workspace.ort_dylib_path {
        check_own_library(path)?;
        say::note(&format!("ONNX Runtime: {} (ORT_DYLIB_PATH)", path.display()));
        return Ok(());
    }
    let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)?;
    let library = workspace
        .target
        .join("lib/airunner")
        .join(library_name(std::env::consts::OS));
    let record = workspace.cache().join("onnxruntime.checked");
    if is_staged(&library, &record, wheel.sha256) {
        say::note(&format!("ONNX Runtime {VERSION}: in place"));
        return Ok(());
    }
    if library.is_file() && wheel::sha256_of(&library)? == wheel.sha256 {
        say::note(&format!("ONNX Runtime {VERSION}: in place, and checked again"));
        return write_stamp(&library, &record, wheel.sha256);
    }
    let python = super::system::python_with_pip()?;
    wheel::fetch(&python, wheel, &workspace.cache(), &library)?;
    say::note(&format!(
        "ONNX Runtime {VERSION}: checked and put at {}",
        library.display()
    ));
    write_stamp(&library, &record, wheel.sha256)
}

/// The library as packages hold it, with the words that have to go with it.
#[derive(Clone, Debug)]
pub(crate) struct Shipped {
    /// Of its file, as the programs look for it.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: String,
    pub(crate) path: PathBuf,
    pub(crate) licence: String,
    pub(crate) notices: String,
}

/// The published library of a platform, whatever `ORT_DYLIB_PATH` names here.
pub(crate) fn shipped(workspace: &Workspace, system: &str, processor: &str) -> anyhow::Result<Shipped> {
    let wheel = wheel_for(system, processor)?;
    let directory = workspace
        .cache()
        .join(format!("shipped-onnxruntime-{VERSION}-{}", wheel.platform));
    let [licence, notices] = texts(system);
    let name = library_name(system);
    let python = super::system::python_with_pip()?;
    for (file, member) in [(name, *wheel), licence, notices] {
        let path = directory.join(file);
        let member = Wheel {
            platform: wheel.platform,
            ..member
        };
        if !path.is_file() || wheel::sha256_of(&path)? != member.sha256 {
            wheel::fetch(&python, &member, &workspace.cache(), &path)?;
        }
    }
    let read = |file: &str| {
        let path = directory.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Shipped {
        name,
        version: VERSION,
        sha256: wheel.sha256.to_owned(),
        path: directory.join(name),
        licence: read(licence.0)?.replace("\r\n", "\n"),
        notices: read(notices.0)?.replace("\r\n", "\n"),
    })
}

/// Licence and notices in the wheels of a system, whose lines end as there.
fn texts(system: &str) -> [(&'static str, Wheel); 2] {
    let (licence, notices) = if system == "windows" {
        (
            "c250d6278f0b47a6439fb7592b08b58a55eb9f535aa49a1db63211c3f982b674",
            "c53a76501ef60db6f865f20599f220761201ac4057683acefdab37d861b86622",
        )
    } else {
        (
            "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
            "143764b952fdb1a7c69ce653bfba74a7744d6a8a573bfb73e235fba356c83de3",
        )
    };
    let member = |member, sha256| build(("", ""), "", member, sha256).wheel;
    [
        ("LICENSE", member("onnxruntime/LICENSE", licence)),
        (
            "ThirdPartyNotices.txt",
            member("onnxruntime/ThirdPartyNotices.txt", notices),
        ),
    ]
}

fn wheel_for(system: &str, processor: &str) -> anyhow::Result<&'static Wheel> {
    match BUILDS
        .iter()
        .find(|build| build.system == system && build.processor == processor)
    {
        Some(build) => Ok(&build.wheel),
        None => bail!(
            "no ONNX Runtime {VERSION} is published for {system} on {processor}: \
             build or install it and name its library in ORT_DYLIB_PATH"
        ),
    }
}

fn library_name(system: &str) -> &'static str {
    match system {
        "windows" => "onnxruntime.dll",
        "macos" => "libonnxruntime.dylib",
        _ => "libonnxruntime.so.1",
    }
}

/// Asks a library for its version: its path is the argument.
const ASK_VERSION: &str = "import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.c_void_p * 2)
print(ctypes.CFUNCTYPE(ctypes.c_char_p)(library.OrtGetApiBase().contents[1])().decode())";

/// Refuses a library that is not there or too old; without Python its age stays unknown and
/// the daemon is the one to say so.
fn check_own_library(path: &Path) -> anyhow::Result<()> {
    if !path.is_file() {
        bail!(
            "ORT_DYLIB_PATH names {}, which is no file: correct or unset it",
            path.display()
        );
    }
    let Some(python) = process::find_program(&["python3", "python"]) else {
        return Ok(());
    };
    let Ok(version) = process::output(Command::new(python).args(["-c", ASK_VERSION]).arg(path)) else {
        bail!(
            "ORT_DYLIB_PATH names {}, which cannot be loaded as ONNX Runtime: correct or unset it",
            path.display()
        );
    };
    if !new_enough(version.trim()) {
        bail!(
            "ORT_DYLIB_PATH names ONNX Runtime {}, and at least 1.{OLDEST_MINOR} is needed: correct or unset it",
            version.trim()
        );
    }
    Ok(())
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    parts.next().flatten() == Some(1) && parts.next().flatten().is_some_and(|minor| minor >= OLDEST_MINOR)
}

/// Whether the library is the one that was checked: same hash wanted, size and time unchanged.
fn is_staged(library: &Path, record: &Path, sha256: &str) -> bool {
    stamp(library, sha256).is_some_and(|wanted| fs::read_to_string(record).is_ok_and(|found| found == wanted))
}

fn write_stamp(library: &Path, record: &Path, sha256: &str) -> anyhow::Result<()> {
    let text = stamp(library, sha256).with_context(|| format!("cannot look at {}", library.display()))?;
    let parent = record.parent().context("the record has no directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let partial = wheel::partial_path(record);
    fs::write(&partial, text).with_context(|| format!("cannot write {}", partial.display()))?;
    wheel::publish(&partial, record)
}

fn stamp(library: &Path, sha256: &str) -> Option<String> {
    let metadata = fs::metadata(library).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{sha256} {} {}\n", metadata.len(), modified.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_of_the_table_is_found_and_well_formed() {
        for build in &BUILDS {
            let wheel = wheel_for(build.system, build.processor).unwrap();
            assert_eq!(wheel.sha256.len(), 64, "{}", wheel.platform);
            assert!(
                wheel.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{}",
                wheel.platform
            );
            assert!(wheel.member.contains("onnxruntime"), "{}", wheel.member);
        }
        let error = wheel_for("plan9", "mips").unwrap_err().to_string();
        assert!(error.contains("ORT_DYLIB_PATH"), "{error}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in [
            ("1.31.1", true),
            ("1.31", true),
            ("1.100.0", true),
            ("1.9.0", false),
            ("2.0.0", false),
            ("", false),
        ] {
            assert_eq!(new_enough(version), expected, "{version}");
        }
    }

    #[test]
    fn a_changed_library_is_not_taken_for_the_checked_one() {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("libonnxruntime.so.1");
        let record = directory.path().join("cache/checked");
        fs::write(&library, "one").unwrap();
        assert!(!is_staged(&library, &record, "abc"));
        write_stamp(&library, &record, "abc").unwrap();
        assert!(is_staged(&library, &record, "abc"));
        assert!(!is_staged(&library, &record, "def"));
        fs::write(&library, "longer").unwrap();
        assert!(!is_staged(&library, &record, "abc"));
    }

    #[test]
    fn a_path_that_is_no_library_is_refused() {
        let error = check_own_library(Path::new("/nonexistent/libonnxruntime.so"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("ORT_DYLIB_PATH"), "{error}");
    }
}
