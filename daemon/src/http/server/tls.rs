//! Encryption: which certificate, and noticing when it is replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airunner_core::{ErrorKind, Fault, chain};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::bind::Encrypted;
use super::certificate::{self, Files};

/// How often it is looked whether the files changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("{0} is not set: with tls = \"files\" it names a file")]
    NotSet(&'static str),
    #[error("{what} cannot be read from {}", path.display())]
    Unreadable {
        what: &'static str,
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("the certificate and its key cannot be used")]
    Unusable(#[source] rustls::Error),
}

impl From<TlsError> for Fault {
    fn from(error: TlsError) -> Self {
        Self::new(ErrorKind::InvalidConfig, chain(&error))
    }
}

/// Encrypts connections.
pub(super) struct Encryption {
    acceptor: watch::Receiver<TlsAcceptor>,
    renewal: Renewal,
}

/// Looks whether the files changed.
struct Renewal {
    files: Files,
    /// Those of our own certificate; `None` if it is the user's.
    names: Option<Vec<String>>,
    seen: Option<Stamp>,
    published: watch::Sender<TlsAcceptor>,
}

/// Tells one state of the files from another.
type Stamp = [(Option<SystemTime>, u64); 2];

impl Encryption {
    /// What is wanted; `None` if that is no encryption.
    pub(super) fn new(wanted: &Encrypted, data: &Path) -> Result<Option<Self>, Fault> {
        let (files, names) = match wanted {
            Encrypted::No => return Ok(None),
            Encrypted::Own(names) => (Files::own(data), Some(names.clone())),
            Encrypted::Files(certificate, key) => {
                let set = |path: &Option<PathBuf>, name| path.clone().ok_or(TlsError::NotSet(name));
                let files = Files {
                    certificate: set(certificate, "http.tls_certificate")?,
                    key: set(key, "http.tls_key")?,
                };
                (files, None)
            }
        };
        if let Some(names) = &names {
            certificate::ensure(&files, names, SystemTime::now())?;
        }
        let (seen, acceptor) = (stamp(&files), acceptor(&files)?);
        let (published, acceptor) = watch::channel(acceptor);
        let renewal = Renewal {
            files,
            names,
            seen,
            published,
        };
        Ok(Some(Self { acceptor, renewal }))
    }

    /// What connections are encrypted with from one time to the next; it is kept up to date
    /// beside them until nobody asks for it.
    pub(super) fn keep(self) -> watch::Receiver<TlsAcceptor> {
        tokio::spawn(self.renewal.keep());
        self.acceptor
    }
}

impl Renewal {
    async fn keep(mut self) {
        loop {
            tokio::select! {
                () = self.published.closed() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            // Files are read, and perhaps a key is made.
            let renew = move || {
                self.renew();
                self
            };
            match tokio::task::spawn_blocking(renew).await {
                Ok(renewal) => self = renewal,
                Err(error) => return tracing::error!(%error, "the certificate is no longer renewed"),
            }
        }
    }

    /// What cannot be used leaves the old certificate in place.
    fn renew(&mut self) {
        if let Some(names) = &self.names
            && let Err(fault) = certificate::ensure(&self.files, names, SystemTime::now())
        {
            tracing::warn!(reason = %fault.kind, "the certificate could not be made anew: {fault}");
        }
        let stamp = stamp(&self.files);
        if stamp == self.seen {
            return;
        }
        // What cannot be used is told once.
        self.seen = stamp;
        match acceptor(&self.files) {
            Ok(acceptor) => {
                tracing::info!("the certificate of the HTTP API was replaced");
                self.published.send_replace(acceptor);
            }
            Err(error) => {
                tracing::warn!("the certificate of the HTTP API stays: {}", chain(&error));
            }
        }
    }
}

fn stamp(files: &Files) -> Option<Stamp> {
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok(), metadata.len()))
    };
    Some([of(&files.certificate)?, of(&files.key)?])
}

fn acceptor(files: &Files) -> Result<TlsAcceptor, TlsError> {
    let unreadable = |what, path: &Path| {
        let path = path.to_path_buf();
        move |source| TlsError::Unreadable { what, path, source }
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable("the certificate", &files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(unreadable("the key of the certificate", &files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: Option<&Path>) -> Encrypted {
        let file = |name| directory.map(|directory| directory.join(name));
        Encrypted::Files(file("c.pem"), file("k.pem"))
    }

    fn own() -> Encrypted {
        Encrypted::Own(vec!["localhost".to_owned()])
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        assert!(Encryption::new(&Encrypted::No, data).unwrap().is_none());
        let fails = |wanted: &Encrypted| Encryption::new(wanted, data).err().unwrap().message;
        assert!(fails(&files(None)).contains("http.tls_certificate"));
        let files = files(Some(data));
        assert!(fails(&files).contains("c.pem"));
        std::fs::write(data.join("c.pem"), "nonsense").unwrap();
        std::fs::write(data.join("k.pem"), "nonsense").unwrap();
        assert!(fails(&files).contains("k.pem") || fails(&files).contains("cannot be used"));
    }

    #[tokio::test(start_paused = true)]
    async fn another_certificate_is_noticed_and_a_bad_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let own = Encryption::new(&own(), directory.path());
        let made = own.unwrap().unwrap().renewal.files;
        let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        std::fs::copy(&made.certificate, &certificate).unwrap();
        std::fs::copy(&made.key, &key).unwrap();
        let encryption = Encryption::new(&files(Some(directory.path())), directory.path())
            .unwrap()
            .unwrap();
        let mut acceptor = encryption.keep();
        let config = |acceptor: &watch::Receiver<TlsAcceptor>| Arc::as_ptr(acceptor.borrow().config());
        let first = config(&acceptor);
        std::fs::write(&certificate, "nonsense").unwrap();
        let looks = LOOK_EVERY * 3;
        assert!(tokio::time::timeout(looks, acceptor.changed()).await.is_err());
        assert_eq!(config(&acceptor), first);
        std::fs::copy(&made.certificate, &certificate).unwrap();
        std::fs::write(&key, format!("\n{}", std::fs::read_to_string(&made.key).unwrap())).unwrap();
        acceptor.changed().await.unwrap();
        assert_ne!(config(&acceptor), first);
    }
}
