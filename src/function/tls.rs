//! TLS: the certificates by which servers are known, read once for S3 and for issuers.
//!
//! Reading the certificates of the system takes milliseconds, and nothing needs them before a server has sent its own.
//! So a connection begins without them, and [`read_certificates`] reads them while it is on its way.

use std::sync::{Arc, LazyLock, Mutex};

use reqwest::{Client, ClientBuilder};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::cache::lock;

/// A client for HTTP, with or without TLS. All of them share certificates, and what TLS remembers of servers.
pub(super) fn client() -> ClientBuilder {
    match CONFIG.as_ref() {
        Ok(config) => Client::builder().tls_backend_preconfigured(config.clone()),
        // This does not happen: the cryptography has the versions of TLS. The client would read the same certificates.
        Err(_) => Client::builder(),
    }
}

/// The same for a client of one's own.
///
/// # Errors
/// The cryptography does not have the versions of TLS. This does not happen.
pub(super) fn config() -> Result<ClientConfig, Error> {
    CONFIG.clone()
}

/// Reads the certificates now, so that no handshake has to wait for them. A failure is reported by the handshake.
pub(super) fn read_certificates() {
    // Whoever needs them tries again, and says so.
    let _ = SYSTEM.verifier();
}

static CONFIG: LazyLock<Result<ClientConfig, Error>> = LazyLock::new(|| {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&SYSTEM.provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    // "Dangerous" is what rustls calls every verifier but its own. This one only asks that of the platform, which is
    // what `reqwest` uses by itself.
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::clone(&*SYSTEM) as Arc<_>);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
});

static SYSTEM: LazyLock<Arc<SystemCertificates>> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    Arc::new(SystemCertificates { provider, verifier: Mutex::default() })
});

/// Knows servers by the certificates of the system.
#[derive(Debug)]
struct SystemCertificates {
    provider: Arc<CryptoProvider>,
    /// `None`: they were not needed yet, or could not be read.
    verifier: Mutex<Option<Arc<Verifier>>>,
}

impl SystemCertificates {
    /// # Errors
    /// The system has no certificates.
    fn verifier(&self) -> Result<Arc<Verifier>, Error> {
        let mut known = lock(&self.verifier);
        if let Some(verifier) = known.as_ref() {
            return Ok(Arc::clone(verifier));
        }
        let verifier = Arc::new(Verifier::new(Arc::clone(&self.provider))?);
        *known = Some(Arc::clone(&verifier));
        Ok(verifier)
    }
}

impl ServerCertVerifier for SystemCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier()?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signed)
    }

    /// What the first message of a handshake offers, before any certificate is needed.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
