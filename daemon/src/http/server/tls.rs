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

use super::certificate::{self, Files};
use crate::config::{HttpSettings, Tls};

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
    /// What the settings ask for; `None` if that is no encryption. `names` are those of our own
    /// certificate.
    pub(super) fn new(
        settings: &HttpSettings,
        data: &Path,
        names: Vec<String>,
    ) -> Result<Option<Self>, Fault> {
        let (files, names) = match settings.tls {
            Tls::Off => return Ok(None),
            Tls::SelfSigned => (Files::own(data), Some(names)),
            Tls::Files => {
                let set = |path: &Option<PathBuf>, name| path.clone().ok_or(TlsError::NotSet(name));
                let files = Files {
                    certificate: set(&settings.tls_certificate, "http.tls_certificate")?,
                    key: set(&settings.tls_key, "http.tls_key")?,
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

    fn settings(tls: Tls, directory: Option<&Path>) -> HttpSettings {
        HttpSettings {
            tls,
            tls_certificate: directory.map(|directory| directory.join("c.pem")),
            tls_key: directory.map(|directory| directory.join("k.pem")),
            ..HttpSettings::default()
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let names = || vec!["localhost".to_owned()];
        assert!(
            Encryption::new(&settings(Tls::Off, None), data, names())
                .unwrap()
                .is_none()
        );
        let fails = |settings: &HttpSettings| Encryption::new(settings, data, names()).err().unwrap().message;
        assert!(fails(&settings(Tls::Files, None)).contains("http.tls_certificate"));
        let files = settings(Tls::Files, Some(data));
        assert!(fails(&files).contains("c.pem"));
        std::fs::write(data.join("c.pem"), "nonsense").unwrap();
        std::fs::write(data.join("k.pem"), "nonsense").unwrap();
        assert!(fails(&files).contains("k.pem") || fails(&files).contains("cannot be used"));
    }

    #[tokio::test(start_paused = true)]
    async fn another_certificate_is_noticed_and_a_bad_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let own = Encryption::new(
            &settings(Tls::SelfSigned, None),
            directory.path(),
            vec!["localhost".to_owned()],
        );
        let made = own.unwrap().unwrap().renewal.files;
        let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        std::fs::copy(&made.certificate, &certificate).unwrap();
        std::fs::copy(&made.key, &key).unwrap();
        let files = settings(Tls::Files, Some(directory.path()));
        let encryption = Encryption::new(&files, directory.path(), Vec::new())
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
