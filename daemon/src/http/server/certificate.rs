//! A certificate of our own, kept in the data directory and made anew before it ends.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airunner_core::{Fault, chain};
use airunner_platform::{files, private};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};

/// As long as systems accept certificates of servers.
const LIFE: Duration = Duration::from_secs(397 * 24 * 60 * 60);
/// Made anew when less is left.
const RENEWED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Clocks of clients may be behind.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

const DIRECTORY: &str = "http-tls";
const ENDS: &str = "Ends: ";
const NAMES: &str = "Names: ";

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    pub(super) fn own(data: &Path) -> Self {
        let directory = data.join(DIRECTORY);
        Self {
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
        }
    }
}

/// Makes a certificate for these names, unless there is one that is good for them.
pub(super) fn ensure(files: &Files, names: &[String], now: SystemTime) -> Result<(), Fault> {
    if is_good(files, names, now) {
        return Ok(());
    }
    let mut all = names.to_vec();
    all.extend(own_addresses().iter().map(ToString::to_string));
    all.sort();
    all.dedup();
    let (certificate, key) = make(&all, now)
        .map_err(|error| Fault::internal(format!("cannot make a certificate: {}", chain(&error))))?;
    keep(files, &certificate, &key)
        .map_err(|error| Fault::internal(format!("cannot keep the certificate of the HTTP API: {error}")))?;
    tracing::info!(
        certificate = %files.certificate.display(),
        names = all.join(" "),
        "a certificate was made: give it to clients that are to trust this server"
    );
    Ok(())
}

/// What is written above the certificate says what it is good for.
fn is_good(files: &Files, names: &[String], now: SystemTime) -> bool {
    let is_private =
        |path: &Path| files::open_regular(path).is_ok_and(|file| files::is_private(&file).unwrap_or(false));
    let Ok(text) = fs::read_to_string(&files.certificate) else {
        return false;
    };
    let line = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark));
    let ends = line(ENDS).and_then(|seconds| seconds.parse().ok());
    let lasts = ends.is_some_and(|seconds| UNIX_EPOCH + Duration::from_secs(seconds) > now + RENEWED);
    let known: Vec<&str> = line(NAMES).unwrap_or_default().split(' ').collect();
    lasts && is_private(&files.key) && names.iter().all(|name| known.contains(&name.as_str()))
}

fn make(names: &[String], now: SystemTime) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "AI Runner");
    parameters.distinguished_name = subject;
    parameters.not_before = (now - BEFORE).into();
    parameters.not_after = (now + LIFE).into();
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.self_signed(&key)?;
    let ends = (now + LIFE).duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = format!(
        "{ENDS}{}\n{NAMES}{}\n{}",
        ends.as_secs(),
        names.join(" "),
        certificate.pem()
    );
    Ok((text, key.serialize_pem()))
}

fn keep(files: &Files, certificate: &str, key: &str) -> io::Result<()> {
    if let Some(directory) = files.key.parent() {
        private::create(directory)?;
    }
    // The certificate says what the pair is good for, so it comes last.
    for (path, text) in [(&files.key, key), (&files.certificate, certificate)] {
        let incoming = path.with_extension(format!("pem.{}", std::process::id()));
        drop(fs::remove_file(&incoming));
        let mut file = files::create_private(&incoming)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&incoming, path)?;
    }
    Ok(())
}

/// By which this machine reaches others. Nothing is sent to find out.
fn own_addresses() -> Vec<IpAddr> {
    let to = |bind: &str, to: &str| {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let found = [to("0.0.0.0:0", "192.0.2.1:9"), to("[::]:0", "[2001:db8::1]:9")];
    found
        .into_iter()
        .flatten()
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_until_it_ends_or_other_names_are_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::own(directory.path());
        let now = SystemTime::now();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let read = || fs::read_to_string(&files.certificate).unwrap();
        ensure(&files, &names, now).unwrap();
        let first = read();
        ensure(&files, &names[..1], now).unwrap();
        assert_eq!(read(), first);
        ensure(&files, &names, now + LIFE - RENEWED).unwrap();
        let second = read();
        assert_ne!(second, first);
        let more = ["localhost".to_owned(), "nas".to_owned()];
        ensure(&files, &more, now).unwrap();
        assert_ne!(read(), second);
        assert!(!fs::read_to_string(&files.key).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_could_read_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let files = Files::own(directory.path());
        let names = ["localhost".to_owned()];
        let now = SystemTime::now();
        ensure(&files, &names, now).unwrap();
        let mode = || fs::metadata(&files.key).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        let key = fs::read_to_string(&files.key).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
        ensure(&files, &names, now).unwrap();
        assert_eq!(mode(), 0o600);
        assert_ne!(fs::read_to_string(&files.key).unwrap(), key);
    }
}
